package gcp

import (
	"bytes"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
)

// Whatever a message holds, it is refused in constant words or it is envelopes.
func FuzzReceive(f *testing.F) {
	good, err := pack([]core.Envelope{{ID: "id", Type: event.TypeHang, Call: "CA1", Body: []byte(`{}`)}})
	if err != nil {
		f.Fatal(err)
	}
	for _, seed := range [][]byte{good, nil, []byte("p"), []byte("@inbox/x/1"), []byte("@inbox/x/99999999999999999999"), []byte("@/"), bytes.Repeat([]byte("p"), 100)} {
		f.Add(seed)
	}
	in := NewInbox(nil, "projects/p/topics/t", coretest.NewStore())
	f.Fuzz(func(t *testing.T, data []byte) {
		es, err := in.Receive(t.Context(), data)
		if (err == nil) != (len(es) > 0) {
			t.Errorf("%d envelopes, %v", len(es), err)
		}
		if err != nil && len(data) > 20 && bytes.Contains([]byte(err.Error()), data[1:20]) {
			t.Errorf("the error quotes the message: %v", err)
		}
	})
}
