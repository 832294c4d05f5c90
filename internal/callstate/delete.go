package callstate

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// tombstoneTTL is how long a deleted call's id is remembered, so that an event that
// comes late does not bring it back: longer than every inbox keeps one.
const tombstoneTTL = 35 * 24 * time.Hour

// Delete deletes a call that is as still says.
func Delete(ctx context.Context, s records.Store, id event.CallID, now time.Time, still func(State) bool) error {
	for range MaxTries {
		recs, err := s.Get(ctx, CallKey(id), OpenKey(id), DeletedKey(id), HoldKey(id))
		if err != nil {
			return err
		}
		state, err := DecodeState(recs[0])
		switch {
		case err != nil:
			return err
		case recs[3].Version != 0:
			return ErrOnHold
		case recs[0].Version == 0:
			return ErrNotFound
		case state.Deleted:
			return Purge(ctx, s, id)
		case still != nil && !still(state):
			return nil
		}
		recent, err := s.Get(ctx, RecentKey(id, state.FirstSeen))
		if err != nil {
			return err
		}
		// A tool that is called now finds the call over, and runs no more.
		tombstone, err := EncodeState(State{V: stateVersion, Deleted: true, Ended: &Ended{At: now.UTC()}})
		if err != nil {
			return err
		}
		rs := []records.Record{
			{Key: CallKey(id), Value: tombstone, Version: recs[0].Version, Expires: now.Add(tombstoneTTL)},
			{Key: DeletedKey(id), Value: []byte(id), Version: recs[2].Version, Expires: now.Add(tombstoneTTL)},
		}
		for _, r := range []records.Record{recs[1], recent[0]} {
			if r.Version != 0 {
				rs = append(rs, records.Record{Key: r.Key, Version: r.Version})
			}
		}
		if err = s.Commit(ctx, rs...); err == nil {
			return Purge(ctx, s, id)
		}
		if !errors.Is(err, records.ErrStale) {
			return err
		}
		if err := Pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("core: call is changed too often: %w", records.ErrStale)
}

// Purge deletes what is below a call.
func Purge(ctx context.Context, s records.Store, id event.CallID) error {
	for _, dir := range []string{"/log", "/blobs", "/tools"} {
		if _, err := DeleteDir(ctx, s, CallDir(id)+dir, nil); err != nil {
			return err
		}
	}
	return nil
}

// DeleteDir deletes the records of a directory that are as wanted says, or all.
func DeleteDir(ctx context.Context, s records.Store, dir string, wanted func(records.Record) bool) (n int, err error) {
	for after := ""; ; {
		recs, err := s.Range(ctx, dir, after, records.MaxCommitRecords)
		if err != nil {
			return n, err
		}
		var gone []records.Record
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			if wanted == nil || wanted(r) {
				gone = append(gone, records.Record{Key: r.Key, Version: r.Version})
			}
		}
		if len(gone) > 0 {
			err := s.Commit(ctx, gone...)
			switch {
			case errors.Is(err, records.ErrStale): // one of them moved: one by one
				for _, r := range gone {
					if err := s.Commit(ctx, r); err != nil && !errors.Is(err, records.ErrStale) {
						return n, err
					}
				}
			case err != nil:
				return n, err
			}
			n += len(gone)
		}
		if len(recs) < records.MaxCommitRecords {
			return n, nil
		}
	}
}
