package bench

import (
	"context"
	"encoding/base64"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/gcp"
)

// opens nothing: what a message holds is not what is measured.
type empty struct{}

func (empty) Decode(context.Context, []byte) ([]core.Envelope, error) { return nil, nil }

// BenchmarkGCP is a request from net/http to its reply, through the functions
// of package gcp and through a handler that only answers, and a message of
// Pub/Sub up to the inbox.
func BenchmarkGCP(b *testing.B) {
	f := gcp.NewFunctions(processor(b), empty{}.Decode, &gcp.Options{Logger: slog.New(slog.DiscardHandler)})
	bare := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(http.StatusNotFound)
		_, _ = w.Write([]byte(`{"error":"not found"}`))
	}
	for _, size := range []int{333, 329_000} {
		body := strings.Repeat("x", size)
		for _, c := range []struct {
			name string
			h    http.HandlerFunc
		}{{"serverurl", f.Receive}, {"bare", bare}} {
			b.Run(fmt.Sprintf("Receive/%dB/%s", size, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					r := httptest.NewRequest("POST", "/x/find_open_slots?call=CA1", strings.NewReader(body))
					r.Header.Set("Content-Type", "application/json")
					r.Header.Set("X-Interactly-Secret", "5a0b6b1e94c7f2d83e17aa49c05d62fb")
					c.h(httptest.NewRecorder(), r)
				}
			})
		}
		e := cloudevents.New()
		e.SetID("1")
		e.SetSource("//pubsub.googleapis.com/projects/p/topics/t")
		e.SetType("google.cloud.pubsub.topic.v1.messagePublished")
		data := fmt.Sprintf(`{"message":{"data":%q,"messageId":"1"},"subscription":"s"}`, base64.StdEncoding.EncodeToString([]byte(body)))
		if err := e.SetData("application/json", []byte(data)); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("Deliver/%dB", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := f.Deliver(b.Context(), e); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
