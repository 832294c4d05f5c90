package callstate

import (
	"errors"
)

// ErrOnHold reports a call that may not be deleted: see [calls.PlaceHold].
var ErrOnHold = errors.New("core: the call is held")

// ErrNotFound reports a call that was never heard of.
var ErrNotFound = errors.New("core: no such call")
