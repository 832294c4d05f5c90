package sqldb

import (
	"bytes"
	"encoding/base64"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

func TestPackingIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := core.Envelope{
			ID:       rapid.String().Draw(t, "id"),
			Received: time.UnixMilli(rapid.Int64Range(0, 4e12).Draw(t, "received")),
			Type:     event.Type(rapid.String().Draw(t, "type")),
			Call:     event.CallID(rapid.String().Draw(t, "call")),
			Body:     bytes.Repeat(rapid.SliceOf(rapid.Byte()).Draw(t, "body"), rapid.IntRange(1, 300).Draw(t, "times")),
		}
		packed, err := pack(e)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unpack(packed)
		if err != nil {
			t.Fatal(err)
		}
		if got.ID != e.ID || !got.Received.Equal(e.Received) || got.Received.Location() != time.UTC ||
			got.Type != e.Type || got.Call != e.Call || !bytes.Equal(got.Body, e.Body) {
			t.Fatalf("got %+v; want %+v", got, e)
		}
	})
}

// A row that was damaged, or comes from a newer release, is an error and no panic.
func TestUnpackingAnything(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := rapid.SliceOf(rapid.Byte()).Draw(t, "packed")
		if len(b) > 0 {
			b[0] %= 3
		}
		_, _ = unpack(eventArgs{Packed: b})
		_, _ = unpackArgs([]byte(`{"e":"` + base64.StdEncoding.EncodeToString(b) + `"}`))
		_, _ = unpackArgs(b)
	})
}

func TestPackingSavesRoom(t *testing.T) {
	body := tenKB(1)
	packed, err := pack(newEnvelope("1", body))
	if err != nil {
		t.Fatal(err)
	}
	if len(packed.Packed) > len(body)/2 {
		t.Errorf("%d bytes packed to %d", len(body), len(packed.Packed))
	}
	t.Logf("%d bytes packed to %d", len(body), len(packed.Packed))
}

func TestUnpackedSize(t *testing.T) {
	for _, n := range []int{0, 10, 100_000} {
		e := core.Envelope{ID: "id", Type: "hang", Body: bytes.Repeat([]byte("a"), n)}
		ev, err := pack(e)
		if err != nil {
			t.Fatal(err)
		}
		if size := unpackedSize(ev); size < int64(n) || size > int64(n)+200 {
			t.Errorf("%d bytes count %d", n, size)
		}
	}
}
