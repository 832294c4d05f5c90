//go:build !wasip1

package envelope

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
)

// Messages makes messages of a queue that takes only so many bytes. A larger
// message is offloaded to the store and replaced by a reference.
type Messages struct {
	Store    records.Store
	MaxBytes int           // of a message
	TTL      time.Duration // of what is offloaded: longer than the queue has a message
	Text     bool          // messages are text, for a queue that does not take every byte
}

// First bytes of messages other than those of Encode.
const (
	formText      = 't' // base64 of an encoded message
	formReference = '@' // directory and number of parts, with a slash between
)

// offloadDir is the directory of the parts of offloaded messages.
const offloadDir = "inbox"

// Pack returns the envelopes as one message, so that they are sent together or
// not at all. What is offloaded is in the store before Pack returns.
func (m Messages) Pack(ctx context.Context, es ...core.Envelope) ([]byte, error) {
	message, err := Encode(es...)
	if err != nil {
		return nil, err
	}
	if m.Text {
		message = base64.StdEncoding.AppendEncode([]byte{formText}, message)
	}
	if len(message) > m.MaxBytes {
		return m.offload(ctx, message)
	}
	return message, nil
}

// Unpack returns the envelopes of a message, fetching what was offloaded.
func (m Messages) Unpack(ctx context.Context, message []byte) ([]core.Envelope, error) {
	if len(message) > 0 && message[0] == formReference {
		var err error
		if message, err = m.fetch(ctx, string(message[1:])); err != nil {
			return nil, err
		}
	}
	if !m.Text {
		return Decode(message)
	}
	if len(message) == 0 {
		return nil, ErrInvalid
	}
	var form []byte
	switch message[0] {
	case formText:
	case formJSON: // its base64 has no form of its own
		form = message[:1]
	default:
		return nil, ErrInvalid
	}
	decoded, err := base64.StdEncoding.AppendDecode(slices.Clone(form), message[1:])
	if err != nil {
		return nil, ErrInvalid
	}
	return Decode(decoded)
}

// offload writes a message in parts into the store and returns a reference to
// them. The parts are there before anything refers to them.
func (m Messages) offload(ctx context.Context, message []byte) (reference []byte, err error) {
	dir, n := offloadDir+"/"+randomName(), 0
	for part := range slices.Chunk(message, records.MaxRecordBytes) {
		r := records.Record{Key: partKey(dir, n), Value: part, Expires: time.Now().Add(m.TTL)}
		if err := m.Store.Commit(ctx, r); err != nil {
			return nil, err
		}
		n++
	}
	return fmt.Appendf(nil, "%c%s/%d", formReference, dir, n), nil
}

func (m Messages) fetch(ctx context.Context, reference string) ([]byte, error) {
	dir, count, err := records.SplitKey(reference)
	n, bad := strconv.Atoi(count)
	if err != nil || bad != nil || n < 1 || n > maxDecodedBytes/records.MaxRecordBytes {
		return nil, ErrInvalid
	}
	keys := make([]string, n)
	for i := range keys {
		keys[i] = partKey(dir, i)
	}
	var b bytes.Buffer
	for some := range slices.Chunk(keys, fetchParts) {
		rs, err := m.Store.Get(ctx, some...)
		if err != nil {
			return nil, err
		}
		for _, r := range rs {
			if r.Version == 0 {
				return nil, ErrInvalid
			}
			b.Write(r.Value)
		}
	}
	return b.Bytes(), nil
}

// fetchParts is how many parts are read at a time: 4 MiB.
const fetchParts = 16

func partKey(dir string, n int) string { return fmt.Sprintf("%s/%04d", dir, n) }

func randomName() string {
	return strconv.FormatUint(rand.Uint64(), 36) + "-" + strconv.FormatUint(rand.Uint64(), 36)
}
