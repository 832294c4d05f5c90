package core

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// keepGone is how long a deleted call's id is remembered, so that an event that
// comes late does not bring it back: longer than every inbox keeps one.
const keepGone = 35 * 24 * time.Hour

const (
	goneDir = "gone" // calls that were deleted, until what came late is deleted too
	holdDir = "hold" // calls that nothing may delete
)

func goneKey(id CallID) string { return goneDir + "/" + Name(string(id)) }
func holdKey(id CallID) string { return holdDir + "/" + Name(string(id)) }

// ErrHeld reports a call that may not be deleted: see [HoldCall].
var ErrHeld = errors.New("core: the call is held")

// DeleteCall deletes all that is kept of a call: its state, its events with what was
// said, the records of its tools. The id alone stays for 35 days, in a record that keeps events
// which come late from bringing the call back. It returns [ErrNoCall] where
// nothing is known, and [ErrHeld] where the call is held.
//
// It can be repeated: should it be cut off, the same again, or the next sweep,
// does the rest. Dead letters and events that wait are with the inbox: the
// former are dropped by whoever has one, the latter change nothing any more. What
// the backend keeps by itself, in [Processor.Records] and elsewhere, is its own
// to delete.
func DeleteCall(ctx context.Context, s Store, id CallID) error {
	return deleteCall(ctx, s, id, time.Now(), nil)
}

// deleteCall deletes a call that is as still says.
func deleteCall(ctx context.Context, s Store, id CallID, now time.Time, still func(callState) bool) error {
	for range mergeTries {
		recs, err := s.Get(ctx, callKey(id), openKey(id), goneKey(id), holdKey(id))
		if err != nil {
			return err
		}
		state, err := decodeState(recs[0])
		switch {
		case err != nil:
			return err
		case recs[3].Version != 0:
			return ErrHeld
		case recs[0].Version == 0:
			return ErrNoCall
		case state.Gone:
			return purge(ctx, s, id)
		case still != nil && !still(state):
			return nil
		}
		recent, err := s.Get(ctx, recentKey(id, state.First))
		if err != nil {
			return err
		}
		// A tool that is called now finds the call over, and runs no more.
		tombstone, err := encodeState(callState{V: stateVersion, Gone: true, Ended: &endState{At: now.UTC()}})
		if err != nil {
			return err
		}
		rs := []Record{
			{Key: callKey(id), Value: tombstone, Version: recs[0].Version, Expires: now.Add(keepGone)},
			{Key: goneKey(id), Value: []byte(id), Version: recs[2].Version, Expires: now.Add(keepGone)},
		}
		for _, r := range []Record{recs[1], recent[0]} {
			if r.Version != 0 {
				rs = append(rs, Record{Key: r.Key, Version: r.Version})
			}
		}
		if err = s.Commit(ctx, rs...); err == nil {
			return purge(ctx, s, id)
		}
		if !errors.Is(err, ErrStale) {
			return err
		}
		if err := pause(ctx, rand.N(20*time.Millisecond)); err != nil {
			return err
		}
	}
	return fmt.Errorf("core: call is changed too often: %w", ErrStale)
}

// purge deletes what is below a call.
func purge(ctx context.Context, s Store, id CallID) error {
	for _, dir := range []string{"/log", "/blobs", "/tools"} {
		if _, err := deleteDir(ctx, s, callDir(id)+dir, nil); err != nil {
			return err
		}
	}
	return nil
}

// deleteDir deletes the records of a directory that are as wanted says, or all.
func deleteDir(ctx context.Context, s Store, dir string, wanted func(Record) bool) (n int, err error) {
	for after := ""; ; {
		recs, err := s.Range(ctx, dir, after, MaxRecords)
		if err != nil {
			return n, err
		}
		var gone []Record
		for _, r := range recs {
			_, after, _ = SplitKey(r.Key)
			if wanted == nil || wanted(r) {
				gone = append(gone, Record{Key: r.Key, Version: r.Version})
			}
		}
		if len(gone) > 0 {
			err := s.Commit(ctx, gone...)
			switch {
			case errors.Is(err, ErrStale): // one of them moved: one by one
				for _, r := range gone {
					if err := s.Commit(ctx, r); err != nil && !errors.Is(err, ErrStale) {
						return n, err
					}
				}
			case err != nil:
				return n, err
			}
			n += len(gone)
		}
		if len(recs) < MaxRecords {
			return n, nil
		}
	}
}

// HoldCall keeps a call from being deleted, by hand or by retention, until
// FreeCall.
func HoldCall(ctx context.Context, s Store, id CallID) error {
	recs, err := s.Get(ctx, callKey(id), holdKey(id))
	if err != nil {
		return err
	}
	state, err := decodeState(recs[0])
	switch {
	case err != nil:
		return err
	case recs[0].Version == 0 || state.Gone:
		return ErrNoCall
	case recs[1].Version != 0:
		return nil
	}
	err = s.Commit(ctx, Record{Key: holdKey(id), Value: []byte(id)})
	if errors.Is(err, ErrStale) {
		return nil // somebody else holds it
	}
	return err
}

// FreeCall ends a hold. One that is not held stays so.
func FreeCall(ctx context.Context, s Store, id CallID) error {
	recs, err := s.Get(ctx, holdKey(id))
	if err != nil || recs[0].Version == 0 {
		return err
	}
	return s.Commit(ctx, Record{Key: holdKey(id), Version: recs[0].Version})
}

// An Export is all that is kept of one call, for whoever it belongs to.
type Export struct {
	Call     CallSummary      `json:"call"`
	Ended    EndReason        `json:"endReason,omitempty"`
	Messages []jsontext.Value `json:"messages"` // the conversation as it stands
	Report   jsontext.Value   `json:"report,omitempty"`
	Tools    []ToolRun        `json:"tools"`
	Events   []Recorded       `json:"events"` // with their bodies, masked
	Audit    []Audit          `json:"audit"`
}

// ExportCall returns all that is kept of a call, or [ErrNoCall].
func ExportCall(ctx context.Context, s Store, id CallID) (Export, error) {
	c, err := ReadCall(ctx, s, id)
	if err != nil {
		return Export{}, err
	}
	e := Export{Call: c.CallSummary, Ended: c.EndReason, Report: c.Report, Tools: c.Tools, Messages: []jsontext.Value{}, Events: []Recorded{}, Audit: []Audit{}}
	v, err := readView(ctx, s, id)
	if err != nil {
		return Export{}, err
	}
	e.Messages = append(e.Messages, raws(v.now)...)
	for r, err := range ReadEvents(ctx, s, id) {
		if err != nil {
			return Export{}, err
		}
		e.Events = append(e.Events, r)
	}
	for after := ""; ; {
		lines, next, err := ReadAudit(ctx, s, after, 500)
		if err != nil {
			return Export{}, err
		}
		for _, a := range lines {
			if a.Call == AuditName(id) {
				e.Audit = append(e.Audit, a)
			}
		}
		if after = next; after == "" {
			return e, nil
		}
	}
}
