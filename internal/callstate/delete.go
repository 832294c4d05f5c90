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

// tombstoneTTL is how long a deleted call's id is remembered, so that a late
// event does not bring the call back: longer than any inbox keeps one.
const tombstoneTTL = 35 * 24 * time.Hour

// Delete deletes a call if unchanged, unless nil, returns true for its state.
// First the tombstone is committed, so that nothing can be added; then the
// rest is purged. A Delete that was cut off is completed by the next one, or
// by the sweep. It returns [ErrNotFound] if nothing is stored of the call, and
// [ErrOnHold] if it is on hold.
func Delete(ctx context.Context, s records.Store, id event.CallID, now time.Time, unchanged func(State) bool) error {
	for range MaxTries {
		deleted, err := tryDelete(ctx, s, id, now, unchanged)
		if err == nil && deleted {
			return Purge(ctx, s, id)
		}
		if !errors.Is(err, records.ErrStale) {
			return err
		}
		if err := Pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("callstate: call is changed too often: %w", records.ErrStale)
}

// tryDelete replaces the state of a call by a tombstone. It returns
// records.ErrStale if the call changed in between.
func tryDelete(ctx context.Context, s records.Store, id event.CallID, now time.Time, unchanged func(State) bool) (deleted bool, err error) {
	recs, err := s.Get(ctx, CallKey(id), OpenKey(id), DeletedKey(id), HoldKey(id))
	if err != nil {
		return false, err
	}
	call, open, second, hold := recs[0], recs[1], recs[2], recs[3]
	state, err := DecodeState(call)
	switch {
	case err != nil:
		return false, err
	case hold.Version != 0:
		return false, ErrOnHold
	case state.Deleted:
		return true, nil
	case call.Version == 0:
		// A tool may have been called before the first event, or events never came.
		found, err := hasContent(ctx, s, id)
		if err != nil {
			return false, err
		}
		if !found {
			return false, ErrNotFound
		}
	case unchanged != nil && !unchanged(state):
		return false, nil
	}
	recent, err := s.Get(ctx, RecentKey(id, state.FirstSeen))
	if err != nil {
		return false, err
	}
	// Ended, so that a tool that is called from now on is refused.
	tombstone, err := EncodeState(State{V: stateVersion, Deleted: true, Ended: &Ended{At: now.UTC()}})
	if err != nil {
		return false, err
	}
	rs := []records.Record{
		{Key: call.Key, Value: tombstone, Version: call.Version, Expires: now.Add(tombstoneTTL)},
		{Key: second.Key, Value: []byte(id), Version: second.Version, Expires: now.Add(tombstoneTTL)},
	}
	for _, r := range []records.Record{open, recent[0]} {
		if r.Version != 0 {
			rs = append(rs, records.Record{Key: r.Key, Version: r.Version})
		}
	}
	return true, s.Commit(ctx, rs...)
}

// hasContent reports whether any directory of the call has a record.
func hasContent(ctx context.Context, s records.Store, id event.CallID) (bool, error) {
	for _, d := range Directories {
		dir := d.ofCall(id)
		if dir == "" {
			continue
		}
		if recs, err := s.Range(ctx, dir, "", 1); err != nil || len(recs) > 0 {
			return err == nil, err
		}
	}
	return false, nil
}

// Purge deletes everything of a call except its state, tombstones and hold:
// all of its directories in [Directories], and its recorded tool requests.
func Purge(ctx context.Context, s records.Store, id event.CallID) error {
	if err := purgeRequests(ctx, s, id); err != nil {
		return err
	}
	for _, d := range Directories {
		dir := d.ofCall(id)
		if dir == "" {
			continue
		}
		if err := DeleteDir(ctx, s, dir, "", nil); err != nil {
			return err
		}
	}
	return nil
}

// purgeRequests deletes the recorded requests of a call. Their names in the
// call's directory go last, so that a purge that is cut off finds them again.
func purgeRequests(ctx context.Context, s records.Store, id event.CallID) error {
	for after := ""; ; {
		names, err := s.Range(ctx, CallRequestsDir(id), after, records.MaxCommitRecords)
		if err != nil || len(names) == 0 {
			return err
		}
		keys := make([]string, len(names))
		for i, r := range names {
			_, after, _ = records.SplitKey(r.Key)
			keys[i] = RequestsDir + "/" + after
		}
		requests, err := s.Get(ctx, keys...)
		if err != nil {
			return err
		}
		if err := deleteRecords(ctx, s, requests); err != nil {
			return err
		}
	}
}

// DeleteDir deletes the records of a directory after the name given for which
// wanted returns true, or all of them if it is nil.
func DeleteDir(ctx context.Context, s records.Store, dir, after string, wanted func(records.Record) bool) error {
	for {
		recs, err := s.Range(ctx, dir, after, records.MaxCommitRecords)
		if err != nil {
			return err
		}
		var found []records.Record
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			if wanted == nil || wanted(r) {
				found = append(found, r)
			}
		}
		if err := deleteRecords(ctx, s, found); err != nil {
			return err
		}
		if len(recs) < records.MaxCommitRecords {
			return nil
		}
	}
}

// deleteRecords deletes up to records.MaxCommitRecords records. Those that
// changed since they were read are left.
func deleteRecords(ctx context.Context, s records.Store, recs []records.Record) error {
	var rs []records.Record
	for _, r := range recs {
		if r.Version != 0 {
			rs = append(rs, records.Record{Key: r.Key, Version: r.Version})
		}
	}
	if len(rs) == 0 {
		return nil
	}
	err := s.Commit(ctx, rs...)
	if !errors.Is(err, records.ErrStale) {
		return err
	}
	for _, r := range rs { // one of them changed, and fails the whole commit
		if err := s.Commit(ctx, r); err != nil && !errors.Is(err, records.ErrStale) {
			return err
		}
	}
	return nil
}
