package callstate

import "errors"

// Errors about calls. Their texts are constant, so they may be logged.
var (
	ErrNotFound       = errors.New("calls: no such call")        // nothing is stored of it, or it was deleted
	ErrOnHold         = errors.New("calls: the call is on hold") // see calls.PlaceHold
	ErrNotQuarantined = errors.New("calls: no body in quarantine has this id")
	ErrBadRecord      = errors.New("calls: a stored record cannot be read") // damaged, or of another version
)
