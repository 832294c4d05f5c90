//go:build !wasip1

package envelope

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
)

// Messages of a Worker are frames of its own: its program has no space for a
// compressor, so this file and messages.go are not in it.

// Forms of encoded envelopes, the first byte. What follows is the length of the
// headers, the headers as JSON, and the bodies; a deflated one begins with the
// size of all that.
const (
	formPlain    = 0
	formDeflated = 1
	formJSON     = 'p' // deflated JSON of core.Envelopes, as AWS and Google queues had it; only read
)

const (
	// maxDecodedBytes bounds what a message may become in memory: the largest
	// body in base64, and space.
	maxDecodedBytes = 64 << 20

	// minDeflateBytes is the size below which deflating costs more than it saves.
	minDeflateBytes = 1 << 10
)

var deflaters = sync.Pool{New: func() any {
	w, err := flate.NewWriter(nil, flate.BestSpeed)
	if err != nil {
		panic(err) // the level is a constant
	}
	return w
}}

// Encode returns envelopes as one message, deflated if that saves much.
func Encode(es ...core.Envelope) ([]byte, error) {
	headers, bodies := Split(es)
	head, err := json.Marshal(headers)
	if err != nil {
		return nil, errors.New("envelope: header cannot be encoded")
	}
	head = append(binary.AppendUvarint(nil, uint64(len(head))), head...)
	size := len(head)
	for _, b := range bodies {
		size += len(b)
	}
	if size <= minDeflateBytes {
		return bytes.Join(append([][]byte{{formPlain}, head}, bodies...), nil), nil
	}
	b := bytes.NewBuffer(make([]byte, 0, size/3))
	b.WriteByte(formDeflated)
	b.Write(binary.AppendUvarint(nil, uint64(size))) // first, so that the reader allocates no more than that
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	w.Reset(b)
	for _, part := range append([][]byte{head}, bodies...) {
		_, _ = w.Write(part) // writes into memory do not fail
	}
	if err := w.Close(); err != nil {
		return nil, errors.New("envelope: message cannot be deflated")
	}
	return b.Bytes(), nil
}

// Decode is the reverse of Encode. It reads every form that was ever stored.
func Decode(message []byte) ([]core.Envelope, error) {
	if len(message) == 0 {
		return nil, ErrInvalid
	}
	form, b := message[0], message[1:]
	switch form {
	case formPlain:
	case formDeflated:
		size, used := binary.Uvarint(b)
		if used <= 0 || size > maxDecodedBytes {
			return nil, ErrInvalid
		}
		r := flate.NewReader(bytes.NewReader(b[used:]))
		b = make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return nil, ErrInvalid
		}
	case formJSON:
		var es []core.Envelope
		r := io.LimitReader(flate.NewReader(bytes.NewReader(b)), maxDecodedBytes)
		if json.UnmarshalRead(r, &es) != nil || len(es) == 0 {
			return nil, ErrInvalid
		}
		return es, nil
	default:
		return nil, ErrInvalid
	}
	n, used := binary.Uvarint(b)
	if used <= 0 || n > uint64(len(b)-used) {
		return nil, ErrInvalid
	}
	head, bodies := b[used:used+int(n)], b[used+int(n):]
	headers := make([]Header, 1)
	var into any = &headers
	if len(head) > 0 && head[0] == '{' { // one envelope, as databases had it
		into = &headers[0]
	}
	if json.Unmarshal(head, into) != nil {
		return nil, ErrInvalid
	}
	return Join(headers, bodies)
}

// DecodedSize returns how many bytes Decode allocates for a message of Encode,
// without decoding it.
func DecodedSize(message []byte) int64 {
	if len(message) > 0 && message[0] == formDeflated {
		if size, used := binary.Uvarint(message[1:]); used > 0 && size <= maxDecodedBytes {
			return int64(size)
		}
	}
	return int64(len(message))
}
