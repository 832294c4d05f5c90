package cloudflare

import (
	"bytes"
	"testing"
)

// A frame is rejected, or it encodes to the same again.
func FuzzDecodeFrame(f *testing.F) {
	good, err := encodeFrame(invocation{Kind: "fetch", Method: "POST", Path: "/events"}, []byte(`{"message":{}}`))
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{good, nil, {0, 0, 0, 1}, {0xff, 0xff, 0xff, 0xff, '{'}, good[:len(good)/2]} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		var d invocation
		body, err := decodeFrame(frame, &d)
		if err != nil {
			return
		}
		again, err := encodeFrame(d, body)
		if err != nil {
			t.Skip() // a text that is not UTF-8
		}
		var e invocation
		body2, err := decodeFrame(again, &e)
		if err != nil || !bytes.Equal(body, body2) || e.Kind != d.Kind || e.Path != d.Path {
			t.Errorf("%+v became %+v, %v", d, e, err)
		}
	})
}
