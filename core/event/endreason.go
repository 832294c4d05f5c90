package event

// An EndReason says how we know that a call is over.
type EndReason string

const (
	EndReasonReport        EndReason = "reported"  // the report came
	EndReasonReportTimeout EndReason = "no report" // it finished, and the report did not come in time
	EndReasonIdleTimeout   EndReason = "silent"    // nothing was heard of it for too long
	EndReasonBackfill      EndReason = "repaired"  // the report never came; the API told the rest
)

// HasReport reports whether the end-of-call report of a call that ended for this
// reason is stored: it was sent, or backfilled.
func (r EndReason) HasReport() bool { return r == EndReasonReport || r == EndReasonBackfill }
