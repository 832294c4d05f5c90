package calls

import (
	"context"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// Delete deletes everything that is stored of a call: its state, its events
// with the transcript, the records of its tools, its recorded tool requests.
// Only its id stays for 35 days, in a tombstone that keeps late events from
// bringing the call back. It returns [ErrNotFound] if nothing is stored of the
// call, and [ErrOnHold] if it is on hold.
//
// Delete may be repeated: if it is cut off, the next Delete or the next sweep
// completes it. It does not reach what is outside of the store's calls: dead
// letters of the call are deleted in the inbox (core.DeadLetters), events that
// still wait there no longer change anything, and the app deletes its own
// records (core.Processor.AppStore). The audit log keeps its lines.
func Delete(ctx context.Context, s records.Store, id event.CallID) error {
	return callstate.Delete(ctx, s, id, time.Now(), nil)
}
