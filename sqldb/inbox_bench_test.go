package sqldb

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// tenKB is a conversation of about 10 kB, as compressible as talk is.
func tenKB(n int) string {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	words := strings.Fields("hello this is Bright Smile Dental how can I help you today I would like to book an appointment for a cleaning on Tuesday morning around nine thirty if there is anything open yes we have")
	var b strings.Builder
	b.WriteString(`{"message":{"type":"conversation-update","messages":[`)
	for i := 0; b.Len() < 10_000; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"role":"%s","time":%d,"secondsFromStart":%.3f,"message":"`, []string{"bot", "user"}[i%2], 1790000000000+r.IntN(1e9), r.Float64()*100)
		for range 12 {
			b.WriteString(words[r.IntN(len(words))] + " ")
		}
		b.WriteString(`"}`)
	}
	b.WriteString(`]}}`)
	return b.String()
}

// BenchmarkPut is a durable accept of 10 kB: what an event waits for before it
// is answered. idle: the inbox delivers nothing; busy: each event is delivered
// to a handler that writes two records, as the core does.
func BenchmarkPut(b *testing.B) {
	bodies := make([]string, 64)
	for i := range bodies {
		bodies[i] = tenKB(i)
	}
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"SQLite", freshSQLite},
		{"Postgres", func(b testing.TB) string { return pgtest.New(b, nil).Database(b) }}, // one that waits for the disk
	} {
		for _, busy := range []bool{false, true} {
			for _, callers := range []int{1, 64} {
				b.Run(fmt.Sprintf("%s/busy=%t/callers=%d", engine.name, busy, callers), func(b *testing.B) {
					benchmarkPut(b, engine.url(b), busy, callers, bodies)
				})
			}
		}
	}
}

func benchmarkPut(b *testing.B, url string, busy bool, callers int, bodies []string) {
	db := open(b, url)
	var delivered atomic.Int64
	deliver := func(ctx context.Context, e core.Envelope) error {
		for _, what := range []string{"merged/", "done/"} {
			if err := db.Store().Commit(ctx, records.Record{Key: what + e.ID, Value: []byte("{}")}); err != nil {
				return err
			}
		}
		delivered.Add(1)
		return nil
	}
	in, err := NewInbox(db, deliver, InboxOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	if busy {
		go func() { ended <- in.Run(ctx) }()
	} else {
		go func() { ended <- in.batcher.run(ctx) }()
	}
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()

	took := make([][]time.Duration, callers)
	var next atomic.Int64
	b.SetBytes(int64(len(bodies[0])))
	b.ResetTimer()
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for {
				n := next.Add(1)
				if n > int64(b.N) {
					return
				}
				e := newEnvelope(fmt.Sprintf("%d-%d", b.N, n), bodies[n%64])
				e.Type = event.TypeConversationUpdate
				start := time.Now()
				if err := in.Put(ctx, e); err != nil {
					b.Error(err)
					return
				}
				took[c] = append(took[c], time.Since(start))
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	all := slices.Sorted(slices.Values(slices.Concat(took...)))
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "puts/s")
	b.ReportMetric(float64(all[len(all)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(all[len(all)*99/100].Microseconds())/1000, "p99-ms")
	if in.batcher.commits > 0 {
		b.ReportMetric(float64(in.batcher.committed)/float64(in.batcher.commits), "puts/commit")
	}
	if busy {
		b.ReportMetric(float64(delivered.Load())/b.Elapsed().Seconds(), "delivered/s")
	}
}

// BenchmarkDeliver is how fast what was accepted is delivered, while nothing
// more comes: fetched, two commits of one record, and struck off.
func BenchmarkDeliver(b *testing.B) {
	for _, engine := range []struct {
		name string
		url  func(testing.TB) string
	}{
		{"SQLite", freshSQLite},
		{"Postgres", func(b testing.TB) string { return pgtest.New(b, nil).Database(b) }},
	} {
		b.Run(engine.name, func(b *testing.B) { benchmarkDeliver(b, engine.url(b)) })
	}
}

func benchmarkDeliver(b *testing.B, url string) {
	db := open(b, url)
	all := make(chan struct{})
	var delivered atomic.Int64
	deliver := func(ctx context.Context, e core.Envelope) error {
		for _, what := range []string{"merged/", "done/"} {
			if err := db.Store().Commit(ctx, records.Record{Key: what + e.ID, Value: []byte("{}")}); err != nil {
				return err
			}
		}
		if delivered.Add(1) == int64(b.N) {
			close(all)
		}
		return nil
	}
	in, err := NewInbox(db, deliver, InboxOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- in.batcher.run(ctx) }()
	body := tenKB(1)
	for n := 0; n < b.N; n += 100 {
		var es []core.Envelope
		for i := n; i < min(n+100, b.N); i++ {
			es = append(es, newEnvelope(fmt.Sprintf("%d-%d", b.N, i), body))
		}
		if err := in.Put(ctx, es...); err != nil {
			b.Fatal(err)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		b.Fatal(err)
	}
	if in, err = NewInbox(db, deliver, InboxOptions{Logger: slog.New(slog.DiscardHandler)}); err != nil {
		b.Fatal(err)
	}
	ctx, cancel = context.WithCancel(context.Background())
	b.ResetTimer()
	go func() { ended <- in.Run(ctx) }()
	<-all
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "delivered/s")
	cancel()
	if err := <-ended; err != nil {
		b.Error(err)
	}
}
