package calls

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// PlaceHold keeps a call from being deleted, by hand or by retention, until
// ReleaseHold.
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
		return callstate.ErrNotFound
	case recs[1].Version != 0:
		return nil
	}
	err = s.Commit(ctx, records.Record{Key: callstate.HoldKey(id), Value: []byte(id)})
	if errors.Is(err, records.ErrStale) {
		return nil // somebody else holds it
	}
	return err
}

// ReleaseHold ends a hold. One that is not held stays so.
func ReleaseHold(ctx context.Context, s records.Store, id event.CallID) error {
	recs, err := s.Get(ctx, callstate.HoldKey(id))
	if err != nil || recs[0].Version == 0 {
		return err
	}
	return s.Commit(ctx, records.Record{Key: callstate.HoldKey(id), Version: recs[0].Version})
}
