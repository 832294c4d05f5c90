package server

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// A durable accept through the whole server: HTTP, sender, limits, mask, and
// the commit of the inbox, while the server delivers what it has accepted.
func BenchmarkAccept(b *testing.B) {
	for _, db := range []struct {
		name string
		url  func(testing.TB) string
	}{{"SQLite", freshSQLite}, {"Postgres", pgtest.Open}} {
		for _, senders := range []int{1, 64} {
			b.Run(fmt.Sprintf("%s/senders=%d", db.name, senders), func(b *testing.B) {
				ctx, stop := context.WithCancel(context.Background())
				ready, ended := make(chan string, 1), make(chan error, 1)
				go func() {
					ended <- Run(ctx, app.New(), Config{Addr: "127.0.0.1:0", Database: db.url(b), OnReady: func(u string) { ready <- u },
						Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(testSecret)}}, Logger: slog.New(slog.DiscardHandler)})
				}()
				root := <-ready
				accept(b, root, senders)
				stop()
				if err := <-ended; err != nil {
					b.Error(err)
				}
			})
		}
	}
}

func accept(b *testing.B, root string, senders int) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: senders}}
	defer client.CloseIdleConnections()
	text := strings.Repeat("An answer that takes about as long as answers take. ", 190)
	took := make([][]time.Duration, senders)
	var left atomic.Int64
	left.Store(int64(b.N))
	b.SetBytes(int64(len(text)))
	b.ResetTimer()
	var wg sync.WaitGroup
	for i := range senders {
		wg.Go(func() {
			for left.Add(-1) >= 0 {
				start := time.Now()
				status, _, err := post(client, root+"/events", fmt.Sprintf(`{"message":{"type":"conversation-update","call":{"id":"CA-%d","status":"ongoing"},"messages":[{"messageId":"user-1","role":"user","text":"%s"}]}}`, left.Load(), text))
				if err != nil || status != 200 {
					b.Errorf("status %d, %v", status, err)
					return
				}
				took[i] = append(took[i], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(len(all))/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
}
