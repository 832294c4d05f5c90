package callstate

import (
	"bytes"
	"context"
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
)

// A blob is stored in place of a value that is larger than a record may be. The
// value's parts are committed before it, so that a blob that can be read is
// whole; parts without a blob are what a crash left, and go with the directory.
type blob struct {
	Blob  string `json:"blob"`
	Parts int    `json:"parts"`
}

// partSize leaves space for what engines store next to a value.
const partSize = records.MaxRecordBytes - 1<<10

// inlinePrefix begins a value that is stored whole. JSON never begins so.
const inlinePrefix = '='

// PutValue returns what to store for v: its JSON if a record can hold it, else
// a reference to parts that it commits below dir. name identifies the value,
// so that a part that already exists is the same one, written by an earlier
// attempt.
func PutValue(ctx context.Context, s records.Store, dir, name string, v any) ([]byte, error) {
	w := partWriter{ctx: ctx, s: s, dir: dir, name: name}
	if err := json.MarshalWrite(&w, v); err != nil {
		if w.err != nil {
			return nil, w.err
		}
		return nil, errors.New("callstate: record encoding failed") // the encoder's text quotes the value
	}
	if w.parts == 0 {
		return append([]byte{inlinePrefix}, w.rest...), nil
	}
	if w.flush(); w.err != nil {
		return nil, w.err
	}
	return json.Marshal(blob{Blob: name, Parts: w.parts})
}

// A partWriter commits what is written to it part by part, so that a large
// value is never in memory twice.
type partWriter struct {
	ctx       context.Context
	s         records.Store
	dir, name string
	rest      []byte // not committed yet
	parts     int    // committed
	err       error  // of the first commit that failed
}

// Write implements io.Writer.
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

// GetBytes returns the JSON of a value that was stored as PutValue returned it.
func GetBytes(ctx context.Context, s records.Store, dir string, value []byte) ([]byte, error) {
	if rest, whole := bytes.CutPrefix(value, []byte{inlinePrefix}); whole {
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
