package calls

import (
	"context"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// Delete deletes all that is kept of a call: its state, its events with what was
// said, the records of its tools. The id alone stays for 35 days, in a record that keeps events
// which come late from bringing the call back. It returns [ErrNotFound] where
// nothing is known, and [ErrOnHold] where the call is held.
//
// It can be repeated: should it be cut off, the same again, or the next sweep,
// does the rest. Dead letters and events that wait are with the inbox: the
// former are dropped by whoever has one, the latter change nothing any more. What
// the backend keeps by itself, in [core.Processor.AppStore] and elsewhere, is its own
// to delete.
func Delete(ctx context.Context, s records.Store, id event.CallID) error {
	return callstate.Delete(ctx, s, id, time.Now(), nil)
}
