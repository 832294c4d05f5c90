package event

// An EndReason says how we know that a call is over.
type EndReason string

// The reasons for which a call ended.
const (
	EndReasonReport        EndReason = "reported"  // the report came
	EndReasonReportTimeout EndReason = "no report" // it finished, and the report did not come in time
	EndReasonIdleTimeout   EndReason = "silent"    // nothing was heard of it for too long
	EndReasonBackfill      EndReason = "repaired"  // the report never came; the API told the rest
)
