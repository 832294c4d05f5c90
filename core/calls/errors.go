package calls

import "github.com/serverurl/serverurl/internal/callstate"

// Errors of this package, for errors.Is.
var (
	ErrNotFound       = callstate.ErrNotFound       // nothing is stored of the call, or it was deleted
	ErrNotQuarantined = callstate.ErrNotQuarantined // no body in quarantine has the id
	ErrOnHold         = callstate.ErrOnHold         // the call may not be deleted: see [PlaceHold]
)
