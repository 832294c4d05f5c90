package sqldb

import (
	"bytes"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// What is in a job may have been changed by anybody who can write into the
// database: it is refused, or it is an envelope that packs again.
func FuzzUnpack(f *testing.F) {
	for _, e := range []core.Envelope{
		{},
		{ID: "id", Type: event.TypeHang, Call: "CA1", Body: []byte(`{}`)},
		{ID: "id", Type: event.TypeReport, Call: "CA1", RedriveCount: 2, Backfilled: true, Body: bytes.Repeat([]byte("An answer. "), 500)},
	} {
		ev, err := pack(e)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(ev.Packed)
	}
	f.Add([]byte{1, 0xff, 0xff, 0xff, 0xff, 0x0f}) // says that it is large
	f.Add([]byte{0, 0x05, '{'})
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, packed []byte) {
		e, err := unpack(eventArgs{Packed: packed})
		if err != nil {
			return
		}
		ev, err := pack(e)
		if err != nil {
			t.Skip() // a time beyond the year 9999
		}
		again, err := unpack(ev)
		if err != nil || again.ID != e.ID || again.Call != e.Call || again.RedriveCount != e.RedriveCount || !bytes.Equal(again.Body, e.Body) {
			t.Errorf("%+v became %+v, %v", e, again, err)
		}
	})
}
