package sqlinbox

import (
	"bytes"
	"testing"

	"github.com/serverurl/serverurl/core"
)

// What is in a job may have been changed by anybody who can write into the
// database: it is refused, or it is an envelope that packs again.
func FuzzUnpack(f *testing.F) {
	for _, e := range []core.Envelope{
		{},
		{ID: "id", Type: core.EventHang, Call: "CA1", Body: []byte(`{}`)},
		{ID: "id", Type: core.EventReport, Call: "CA1", Replayed: 2, Repaired: true, Body: bytes.Repeat([]byte("An answer. "), 500)},
	} {
		ev, err := pack(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ev.Packed)
	}
	f.Add([]byte{formDeflated, 0xff, 0xff, 0xff, 0xff, 0x0f}) // says that it is large
	f.Add([]byte{formPlain, 0x05, '{'})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, packed []byte) {
		e, err := unpack(event{packed})
		if err != nil {
			return
		}
		ev, err := pack(e)
		if err != nil {
			t.Skip() // a time beyond the year 9999
		}
		again, err := unpack(ev)
		if err != nil || again.ID != e.ID || again.Call != e.Call || again.Replayed != e.Replayed || !bytes.Equal(again.Body, e.Body) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}
