package callstate

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
)

// What is over the size of a record is cut into parts, written before the
// record that points at them.
type blob struct {
	Blob  string `json:"blob"`
	Parts int    `json:"parts"`
}

const partSize = records.MaxRecordBytes - 1<<10

// PutValue returns what to store for v: its JSON where a record holds it, else
// a pointer at parts that it writes below dir. name must be of no other value,
// so that a part that is there already is the same.
func PutValue(ctx context.Context, s records.Store, dir, name string, v any) ([]byte, error) {
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
	s         records.Store
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
	err := w.s.Commit(w.ctx, records.Record{Key: partKey(w.dir, w.name, w.parts), Value: w.rest})
	if err != nil && !errors.Is(err, records.ErrStale) {
		w.err = err
	}
	w.parts, w.rest = w.parts+1, w.rest[:0]
}

// GetBytes is the reverse of putValue.
func GetBytes(ctx context.Context, s records.Store, dir string, value []byte) ([]byte, error) {
	if rest, whole := bytes.CutPrefix(value, []byte{'='}); whole {
		return rest, nil
	}
	var ref blob
	if err := json.Unmarshal(value, &ref); err != nil || ref.Parts < 1 {
		return nil, ErrBadRecord
	}
	var b []byte
	for i := range ref.Parts {
		rs, err := s.Get(ctx, partKey(dir, ref.Blob, i))
		if err != nil {
			return nil, err
		}
		if rs[0].Version == 0 {
			return nil, ErrBadRecord
		}
		b = append(b, rs[0].Value...)
	}
	return b, nil
}

var ErrBadRecord = errors.New("core: a stored record cannot be read")
