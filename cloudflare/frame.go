package cloudflare

import (
	"encoding/binary"
	"errors"

	"github.com/go-json-experiment/json"
)

// errFrame is constant: a frame holds what callers said.
var errFrame = errors.New("cloudflare: invalid frame")

// A frame is how Go and JavaScript exchange data: four bytes of length,
// little-endian, that many bytes of JSON, and then bytes as they are. A body is
// never encoded again on its way, so that a signature over it is valid.

// encodeFrame returns a frame. It fails if meta has text that is not UTF-8.
func encodeFrame(meta any, body ...[]byte) ([]byte, error) {
	m, err := json.Marshal(meta)
	if err != nil {
		return nil, errors.New("cloudflare: frame cannot be encoded")
	}
	n := 4 + len(m)
	for _, b := range body {
		n += len(b)
	}
	frame := make([]byte, 4, n)
	binary.LittleEndian.PutUint32(frame, uint32(len(m)))
	frame = append(frame, m...)
	for _, b := range body {
		frame = append(frame, b...)
	}
	return frame, nil
}

// decodeFrame fills meta and returns the body, which is part of the frame.
func decodeFrame(frame []byte, meta any) (body []byte, err error) {
	if len(frame) < 4 {
		return nil, errFrame
	}
	n := binary.LittleEndian.Uint32(frame)
	rest := frame[4:]
	if uint64(n) > uint64(len(rest)) || json.Unmarshal(rest[:n], meta) != nil {
		return nil, errFrame
	}
	return rest[n:], nil
}
