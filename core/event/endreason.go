package event

// An EndReason is why a call is considered over. The texts are stored.
type EndReason string

// The reasons. A call that is in progress has none.
const (
	EndReasonReport        EndReason = "reported"  // the end-of-call-report was received
	EndReasonReportTimeout EndReason = "no report" // the call finished, and no report came in time
	EndReasonIdleTimeout   EndReason = "silent"    // no event came for too long
	EndReasonBackfill      EndReason = "repaired"  // the report was lost, and Interactly's API had its data
)

// HasReport reports whether the end-of-call-report of a call that ended for
// this reason is stored: it was sent, or backfilled.
func (r EndReason) HasReport() bool {
	switch r {
	case EndReasonReport, EndReasonBackfill:
		return true
	case EndReasonReportTimeout, EndReasonIdleTimeout:
	}
	return false
}
