package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// An entry is what one event brought: its body without the messages, and of
// the messages only what was new. So a conversation that is repeated with each
// event is stored once, and every event can still be put together again.
type entry struct {
	V        int       `json:"v"`
	ID       string    `json:"id"` // of the envelope
	Type     EventType `json:"type"`
	Received time.Time `json:"received"`

	// Body is the event without its messages. A conversation-update whose body
	// differs from an earlier one only in its time names that entry in Like
	// and keeps the Timestamp.
	Body      jsontext.Value `json:"body,omitempty"`
	Like      int            `json:"like,omitempty"` // number of the entry, from 1
	Timestamp jsontext.Value `json:"timestamp,omitempty"`

	// The conversation becomes its first Keep messages and New. Where Late is
	// set it stays as it is: the event was an older snapshot of Keep messages,
	// and New are those of it that were never seen.
	Keep int              `json:"keep,omitempty"`
	New  []jsontext.Value `json:"new,omitempty"`
	Late bool             `json:"late,omitempty"`

	Sweep EndReason `json:"sweep,omitempty"` // no event: the sweep ended the call

	Repaired bool `json:"repaired,omitempty"` // never sent: the API was asked
	Replayed int  `json:"replayed,omitempty"` // how often it came back from the dead letters
}

// A spoken is a message of a conversation, as far as the merge looks at it.
type spoken struct {
	raw jsontext.Value
	sum [sha256.Size]byte // of id, role and text: two with the same are the same
	at  int64             // ms
}

func (m spoken) same(o spoken) bool { return m.sum == o.sum }

// chain adds m to the digest of the messages before it.
func (m spoken) chain(before [sha256.Size]byte) [sha256.Size]byte {
	return sha256.Sum256(append(before[:], m.sum[:]...))
}

func shortDigest(sum []byte) string { return base64.RawURLEncoding.EncodeToString(sum[:12]) }

// A view is a conversation put together from the log.
type view struct {
	now     []spoken // as it stands
	dropped []spoken // seen once, and not part of it
	missed  []spoken // those of them that only an older snapshot had: no handler was told
}

func (v *view) apply(e entry) {
	added := make([]spoken, 0, len(e.New))
	for _, raw := range e.New {
		added = append(added, readSpoken(raw))
	}
	if e.Late {
		v.dropped = append(v.dropped, added...)
		v.missed = append(v.missed, added...)
		return
	}
	keep := min(e.Keep, len(v.now))
	for _, old := range v.now[keep:] {
		if !contains(added, old) {
			v.dropped = append(v.dropped, old)
		}
	}
	v.now = append(v.now[:keep:keep], added...)
	v.dropped = slices.DeleteFunc(v.dropped, func(m spoken) bool { return contains(v.now, m) })
	v.missed = slices.DeleteFunc(v.missed, func(m spoken) bool { return contains(v.now, m) })
}

// has reports whether m was seen before.
func (v *view) has(m spoken) bool { return contains(v.now, m) || contains(v.dropped, m) }

// told reports whether the handlers of messages know m.
func (v *view) told(m spoken) bool { return v.has(m) && !contains(v.missed, m) }

func contains(ms []spoken, m spoken) bool {
	for _, o := range ms {
		if o.same(m) {
			return true
		}
	}
	return false
}

// What is over the size of a record is cut into parts, written before the
// record that points at them.
type blob struct {
	Blob  string `json:"blob"`
	Parts int    `json:"parts"`
}

const partSize = MaxRecord - 1<<10

func partKey(dir, name string, n int) string { return fmt.Sprintf("%s/%s-%04d", dir, name, n) }

// putValue returns what to store for v: its JSON where a record holds it, else
// a pointer at parts that it writes below dir. name must be of no other value,
// so that a part that is there already is the same.
func putValue(ctx context.Context, s Store, dir, name string, v any) ([]byte, error) {
	w := partWriter{ctx: ctx, s: s, dir: dir, name: name}
	if err := json.MarshalWrite(&w, v); err != nil {
		if w.err != nil {
			return nil, w.err
		}
		return nil, errors.New("core: a record cannot be encoded") // the encoder's text quotes it
	}
	if w.parts == 0 {
		return append([]byte{'='}, w.rest...), nil
	}
	if w.flush(); w.err != nil {
		return nil, w.err
	}
	return json.Marshal(blob{Blob: name, Parts: w.parts})
}

// A partWriter commits what is written to it, part by part, so that a large
// value is never in memory twice.
type partWriter struct {
	ctx       context.Context
	s         Store
	dir, name string
	rest      []byte
	parts     int
	err       error
}

func (w *partWriter) Write(p []byte) (int, error) {
	for b := p; len(b) > 0; {
		n := min(len(b), partSize-len(w.rest))
		w.rest, b = append(w.rest, b[:n]...), b[n:]
		if len(b) > 0 {
			w.flush()
		}
	}
	return len(p), w.err
}

func (w *partWriter) flush() {
	if w.err != nil {
		return
	}
	err := w.s.Commit(w.ctx, Record{Key: partKey(w.dir, w.name, w.parts), Value: w.rest})
	if err != nil && !errors.Is(err, ErrStale) {
		w.err = err
	}
	w.parts, w.rest = w.parts+1, w.rest[:0]
}

// getBytes is the reverse of putValue.
func getBytes(ctx context.Context, s Store, dir string, value []byte) ([]byte, error) {
	if rest, whole := bytes.CutPrefix(value, []byte{'='}); whole {
		return rest, nil
	}
	var ref blob
	if err := json.Unmarshal(value, &ref); err != nil || ref.Parts < 1 {
		return nil, errBadRecord
	}
	var b []byte
	for i := range ref.Parts {
		rs, err := s.Get(ctx, partKey(dir, ref.Blob, i))
		if err != nil {
			return nil, err
		}
		if rs[0].Version == 0 {
			return nil, errBadRecord
		}
		b = append(b, rs[0].Value...)
	}
	return b, nil
}

var errBadRecord = errors.New("core: a stored record cannot be read")

func logKey(id CallID, n int) string { return fmt.Sprintf("%s/log/%08d", callDir(id), n) }

// readLog yields the entries of a call in order of arrival.
func readLog(ctx context.Context, s Store, id CallID) ([]entry, error) {
	var entries []entry
	dir, after := callDir(id)+"/log", ""
	for {
		rs, err := s.Range(ctx, dir, after, 200)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			e, err := readEntry(ctx, s, id, r)
			if err != nil {
				return nil, err
			}
			entries = append(entries, e)
			_, after, _ = SplitKey(r.Key)
		}
		if len(rs) < 200 {
			return entries, nil
		}
	}
}

func readEntry(ctx context.Context, s Store, id CallID, r Record) (entry, error) {
	var e entry
	b, err := getBytes(ctx, s, callDir(id)+"/blobs", r.Value)
	if err != nil {
		return e, err
	}
	if json.Unmarshal(b, &e) != nil {
		return e, errBadRecord
	}
	return e, nil
}

// readView puts the conversation of a call together.
func readView(ctx context.Context, s Store, id CallID) (*view, error) {
	entries, err := readLog(ctx, s, id)
	if err != nil {
		return nil, err
	}
	v := new(view)
	for _, e := range entries {
		v.apply(e)
	}
	return v, nil
}
