package envelope_test

import (
	"bytes"
	"compress/flate"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/envelope"
)

// envelopes returns some with every field set, of about n bytes each.
func envelopes(t *testing.T, bodies ...[]byte) (es []core.Envelope) {
	for i, body := range bodies {
		es = append(es, core.Envelope{
			ID: "id-" + string(rune('a'+i)), Received: time.UnixMilli(1_790_000_000_123).UTC(), Type: event.TypeHang,
			Tenant: "north", Call: "call/\x00é", Backfilled: true, RedriveCount: 3, Body: body,
		})
	}
	for i := range reflect.TypeFor[core.Envelope]().NumField() { // a new field must be encoded too
		if reflect.ValueOf(es[0]).Field(i).IsZero() {
			t.Fatalf("field %d of the envelope is not set", i)
		}
	}
	return es
}

func noise(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rand.Uint32())
	}
	return b
}

func TestEveryFieldComesBack(t *testing.T) {
	small, large := []byte(`{"n":1}`), bytes.Repeat([]byte(`{"said":"an answer"}`), 1000)
	for name, bodies := range map[string][][]byte{
		"one": {small}, "one large": {large}, "several": {small, large, []byte("{}")}, "noise": {noise(3 << 20), small},
	} {
		for _, text := range []bool{false, true} {
			store := coretest.NewMemoryStore()
			m := envelope.Messages{Store: store, MaxBytes: 1 << 20, TTL: time.Hour, Text: text}
			want := envelopes(t, bodies...)
			message, err := m.Pack(t.Context(), want...)
			if err != nil {
				t.Fatal(err)
			}
			if len(message) > m.MaxBytes {
				t.Errorf("%s: message of %d bytes", name, len(message))
			}
			if text && !isText(message) {
				t.Errorf("%s: message is not text", name)
			}
			got, err := m.Unpack(t.Context(), message)
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s, text %t: %v, %d envelopes", name, text, err, len(got))
			}
		}
	}
}

func isText(b []byte) bool {
	return strings.IndexFunc(string(b), func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// TestOldFormsAreRead has what is in queues and databases already, as it was written.
func TestOldFormsAreRead(t *testing.T) {
	want := envelopes(t, []byte(`{"n":1}`), []byte(`{"n":2}`))
	deflated := func(b []byte) []byte {
		var out bytes.Buffer
		w, _ := flate.NewWriter(&out, flate.BestSpeed)
		_, _ = w.Write(b)
		_ = w.Close()
		return out.Bytes()
	}
	all, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	queue := append([]byte("p"), deflated(all)...)
	text := []byte("p" + base64.StdEncoding.EncodeToString(deflated(all)))
	head := []byte(`{"id":"id-a","received":"2026-09-21T14:13:20.123Z","type":"hang","tenant":"north","call":"call/\u0000é","repaired":true,"replayed":3}`)
	job := append(append(binary.AppendUvarint(nil, uint64(len(head))), head...), want[0].Body...)
	one := want[:1:1]
	one[0].Received = time.Date(2026, 9, 21, 14, 13, 20, 123e6, time.UTC)

	for name, c := range map[string]struct {
		text    bool
		message []byte
		want    []core.Envelope
	}{
		"queue":        {false, queue, want},
		"text queue":   {true, text, want},
		"job":          {false, append([]byte{0}, job...), one},
		"deflated job": {false, append(binary.AppendUvarint([]byte{1}, uint64(len(job))), deflated(job)...), one},
	} {
		got, err := envelope.Messages{Text: c.text}.Unpack(t.Context(), c.message)
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v\n%+v\n%+v", name, err, got, c.want)
		}
	}
}

func TestInvalidMessages(t *testing.T) {
	valid, err := envelope.Encode(envelopes(t, bytes.Repeat([]byte("x"), 4000))...)
	if err != nil {
		t.Fatal(err)
	}
	plain, err := envelope.Encode(envelopes(t, []byte("x"))...)
	if err != nil {
		t.Fatal(err)
	}
	messages := []string{"", "p", "t", "x", "@", "@inbox/a/x", "@inbox/a/1", "\x00", "\x01", "\x01\xff\xff\xff\xff\xff\x01", "\x00\x02[]",
		"\x00\x0d[{\"size\":-1}]", "\x00\x0c[{\"size\":9}]", string(valid[:len(valid)/2]), string(plain[:len(plain)-1])}
	for _, text := range []bool{false, true} {
		for _, m := range messages {
			es, err := envelope.Messages{Store: coretest.NewMemoryStore(), Text: text}.Unpack(t.Context(), []byte(m))
			if !errors.Is(err, envelope.ErrInvalid) {
				t.Errorf("%q: %v, %v", m, es, err)
			}
		}
	}
}

func TestDecodedSize(t *testing.T) {
	message, err := envelope.Encode(envelopes(t, bytes.Repeat([]byte("x"), 40_000))...)
	if err != nil {
		t.Fatal(err)
	}
	if n := envelope.DecodedSize(message); n < 40_000 || n > 41_000 {
		t.Errorf("%d for 40,000 bytes in %d", n, len(message))
	}
}

func TestRetryDelay(t *testing.T) {
	for attempt, bound := range map[int]time.Duration{-1: 2, 0: 2, 1: 2, 2: 4, 9: 512, 10: 720, 1000: 720} {
		bound *= time.Second
		for range 100 {
			if d := envelope.RetryDelay(attempt, 2*time.Second, 12*time.Minute); d < bound/2 || d > bound {
				t.Fatalf("attempt %d: %v, want %v to %v", attempt, d, bound/2, bound)
			}
		}
	}
}

// Whatever a message holds, it is envelopes or a constant error.
func FuzzUnpack(f *testing.F) {
	valid, _ := envelope.Encode(core.Envelope{ID: "id", Body: []byte("{}")})
	for _, seed := range []string{string(valid), "", "p", "t", "@inbox/x/1", "@inbox/x/99999999999999999999", "@/", strings.Repeat("p", 100)} {
		f.Add([]byte(seed), true)
		f.Add([]byte(seed), false)
	}
	f.Fuzz(func(t *testing.T, message []byte, text bool) {
		es, err := envelope.Messages{Store: coretest.NewMemoryStore(), Text: text}.Unpack(t.Context(), message)
		if (err == nil) != (len(es) > 0) {
			t.Errorf("%d envelopes, %v", len(es), err)
		}
		if err != nil && len(message) > 20 && strings.Contains(err.Error(), string(message[1:20])) {
			t.Errorf("the error quotes the message: %v", err)
		}
	})
}
