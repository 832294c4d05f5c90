package sqldb

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// eventArgs is the payload of an event's job. It is opaque to the database,
// because PostgreSQL's jsonb would change a body's bytes and refuse a NUL in an
// id, and compressed, because bodies are repetitive text.
type eventArgs struct {
	Packed []byte `json:"e"`
}

// Kind implements river.JobArgs.
func (eventArgs) Kind() string { return "serverurl_event" }

// A header is an envelope without its body.
type envelopeHeader struct {
	ID       string       `json:"id"`
	Received time.Time    `json:"received"`
	Type     event.Type   `json:"type"`
	Call     event.CallID `json:"call,omitempty"`
	Repaired bool         `json:"repaired,omitempty"`
	Replayed int          `json:"replayed,omitempty"`
}

// Forms of a packed envelope, its first byte. What follows is the length of
// the header, the header as JSON, and the body; a
// deflated one has the size of all that before it.
const (
	formPlain    = 0
	formDeflated = 1
)

// maxPacked is the most that an envelope unpacks to: no body is larger than
// the core's limit can be set in reason.
const maxUnpackedBytes = 64 << 20

// worthPacking is the size below which packing costs more than it saves.
const minDeflateBytes = 1 << 10

var errUndecodable = errors.New("sqldb: an envelope in the inbox cannot be read")

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

func pack(e core.Envelope) (eventArgs, error) {
	head, err := json.Marshal(envelopeHeader{ID: e.ID, Received: e.Received.UTC(), Type: e.Type, Call: e.Call, Repaired: e.Backfilled, Replayed: e.RedriveCount})
	if err != nil {
		return eventArgs{}, errors.New("sqldb: the envelope's header cannot be encoded")
	}
	size := 1 + binary.MaxVarintLen32 + len(head) + len(e.Body)
	form := byte(formPlain)
	if size > minDeflateBytes {
		form, size = formDeflated, size/3
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	b.WriteByte(form)
	write := func(w io.Writer) {
		// Writes into memory do not fail.
		_, _ = w.Write(binary.AppendUvarint(nil, uint64(len(head))))
		_, _ = w.Write(head)
		_, _ = w.Write(e.Body)
	}
	if form == formPlain {
		write(b)
		return eventArgs{b.Bytes()}, nil
	}
	// The size comes first, so that the reader allocates no more than that.
	b.Write(binary.AppendUvarint(nil, uint64(len(binary.AppendUvarint(nil, uint64(len(head))))+len(head)+len(e.Body))))
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(b)
	write(w)
	if err := w.Close(); err != nil {
		return eventArgs{}, errors.New("sqldb: the envelope cannot be packed")
	}
	return eventArgs{b.Bytes()}, nil
}

// unpackedSize is how many bytes unpack makes.
func unpackedSize(ev eventArgs) int64 {
	if len(ev.Packed) > 0 && ev.Packed[0] == formDeflated {
		if size, used := binary.Uvarint(ev.Packed[1:]); used > 0 && size <= maxUnpackedBytes {
			return int64(size)
		}
	}
	return int64(len(ev.Packed))
}

func unpack(ev eventArgs) (core.Envelope, error) {
	if len(ev.Packed) == 0 || ev.Packed[0] > formDeflated {
		return core.Envelope{}, errUndecodable
	}
	b := ev.Packed[1:]
	if ev.Packed[0] == formDeflated {
		size, used := binary.Uvarint(b)
		if used <= 0 || size > maxUnpackedBytes {
			return core.Envelope{}, errUndecodable
		}
		r := flate.NewReader(bytes.NewReader(b[used:]))
		b = make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return core.Envelope{}, errUndecodable
		}
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return core.Envelope{}, errUndecodable
	}
	var h envelopeHeader
	if err := json.Unmarshal(b[used:used+int(n)], &h); err != nil {
		return core.Envelope{}, errUndecodable
	}
	return core.Envelope{ID: h.ID, Received: h.Received.UTC(), Type: h.Type, Call: h.Call, Backfilled: h.Repaired, RedriveCount: h.Replayed, Body: b[used+int(n):]}, nil
}

// unpackArgs reads an envelope from a job's row.
func unpackArgs(args []byte) (core.Envelope, error) {
	var ev eventArgs
	if err := json.Unmarshal(args, &ev); err != nil {
		return core.Envelope{}, errUndecodable
	}
	return unpack(ev)
}
