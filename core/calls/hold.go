package calls

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// PlaceHold puts a call on legal hold: neither [Delete] nor retention deletes
// any of it until [ReleaseHold]. Recorded tool requests expire anyway, 30 days
// after they were received. It returns [ErrNotFound] for an unknown call. A
// call that is on hold already stays so.
func PlaceHold(ctx context.Context, s records.Store, id event.CallID) error {
	recs, err := s.Get(ctx, callstate.CallKey(id), callstate.HoldKey(id))
	if err != nil {
		return err
	}
	state, err := callstate.DecodeState(recs[0])
	switch {
	case err != nil:
		return err
	case recs[0].Version == 0 || state.Deleted:
		return ErrNotFound
	case recs[1].Version != 0:
		return nil
	}
	err = s.Commit(ctx, records.Record{Key: callstate.HoldKey(id), Value: []byte(id)})
	if errors.Is(err, records.ErrStale) {
		return nil // someone else has placed one in between
	}
	return err
}

// ReleaseHold ends the hold of a call. If there is none it does nothing.
func ReleaseHold(ctx context.Context, s records.Store, id event.CallID) error {
	recs, err := s.Get(ctx, callstate.HoldKey(id))
	if err != nil || recs[0].Version == 0 {
		return err
	}
	return s.Commit(ctx, records.Record{Key: callstate.HoldKey(id), Version: recs[0].Version})
}
