package inspect_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/sqldb"
)

// How many calls are in the store of a benchmark.
var large = flag.Int("calls", 100_000, "calls in the store of a benchmark")

// started is a server on SQLite with its page.
type started struct{ backend, page string }

func startServer(b testing.TB, database string) started {
	b.Helper()
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	r := inspect.NewRecorder()
	urls := make(chan string, 2)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	p := app.New()
	p.Observe(r.Observe)
	go func() {
		done <- server.Run(ctx, p, server.Config{
			Addr: "127.0.0.1:0", Database: database, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: quiet, OnReady: func(url string) { urls <- url },
			Background: func(ctx context.Context, with server.Components) error {
				page := inspect.New(with.Store, &inspect.Options{Recorder: r, Processor: with.Processor, BackendURL: with.URL, Synthetic: true, Logger: quiet})
				recorded := make(chan error, 1)
				go func() { recorded <- r.Run(ctx, with.Store) }()
				err := page.Run(ctx, "127.0.0.1:0", func(url string) { urls <- url })
				<-recorded
				return err
			},
		})
	}()
	b.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return started{<-urls, <-urls}
}

func post(b testing.TB, url, body string) {
	b.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		b.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 200 {
		b.Fatal(resp.Status)
	}
}

// fill writes calls into a SQLite file directly, without an inbox.
func fill(b testing.TB, database string, calls int) {
	b.Helper()
	db, err := sqldb.Open(b.Context(), database)
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	memory := coretest.NewMemoryStore()
	in := new(memoryInbox)
	now := time.Now().Add(-24 * time.Hour)
	flush := func() {
		var rs []records.Record
		for _, r := range memory.All() {
			r.Version = 0
			if rs = append(rs, r); len(rs) == records.MaxCommitRecords {
				if err := db.Store().Commit(b.Context(), rs...); err != nil {
					b.Fatal(err)
				}
				rs = nil
			}
		}
		if len(rs) > 0 {
			if err := db.Store().Commit(b.Context(), rs...); err != nil {
				b.Fatal(err)
			}
		}
	}
	for i := 0; i < calls; {
		memory = coretest.NewMemoryStore()
		p := core.New()
		in.deliver = p.Deliver
		err := p.Bind(core.Platform{Store: memory, Inbox: in, Verifier: auth.Verifier{AllowUnauthenticated: true}, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now }})
		if err != nil {
			b.Fatal(err)
		}
		for end := min(calls, i+2000); i < end; i++ {
			now = now.Add(24 * time.Hour / time.Duration(calls))
			status := []string{"finished", "finished", "finished", "failed"}[i%4]
			p.Handle(b.Context(), core.Request{Method: "POST", Path: "/events", Body: fmt.Appendf(nil, `{"message":{"type":"status-update","call":{"id":"CA%08d","status":%q,"metadata":{"practiceId":"prac_%d"}},"assistant":{"name":"Front desk %d"}}}`, i, status, i%500, i%5)})
		}
		flush()
	}
}

// BenchmarkListOfManyCalls measures the list with 100,000 calls: how long the
// server takes, and when a browser has painted it.
func BenchmarkListOfManyCalls(b *testing.B) {
	database := filepath.Join(b.TempDir(), "large.db")
	start := time.Now()
	fill(b, database, *large)
	b.Logf("%d calls written in %v", *large, time.Since(start).Round(time.Second))
	start = time.Now()
	s := startServer(b, database)
	// The first paint does not wait for the rest.
	first := time.Now()
	resp, err := http.Get(s.page + "/")
	if err != nil {
		b.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	b.Logf("the first request, right after the start: %v", time.Since(first).Round(time.Millisecond))
	for {
		resp, err := http.Get(s.page + "/")
		if err != nil {
			b.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		resp.Body.Close()
		if !strings.Contains(string(body), "still counting") && strings.Contains(string(body), "<tr id") {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Logf("all are counted after %v", time.Since(start).Round(10*time.Millisecond))
	for _, path := range []string{"/", "/?only=failed", "/?q=prac_499", "/?page=1900"} {
		b.Run("server"+path, func(b *testing.B) {
			for b.Loop() {
				resp, err := http.Get(s.page + path)
				if err != nil {
					b.Fatal(err)
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
	b.Run("browser", func(b *testing.B) {
		w := open(b, s.page, "/")
		var paints []float64
		for b.Loop() {
			w.do(chromedp.Navigate(s.page + "/"))
			w.until("performance.getEntriesByName('first-contentful-paint').length")
			paints = append(paints, value(w, chromedp.Evaluate[float64]("performance.getEntriesByName('first-contentful-paint')[0].startTime")))
		}
		report(b, "paint", paints)
	})
}

func report(b *testing.B, what string, ms []float64) {
	slices.Sort(ms)
	b.ReportMetric(ms[len(ms)/2], what+"-p50-ms")
	b.ReportMetric(ms[len(ms)*99/100], what+"-p99-ms")
}

// BenchmarkEventVisible measures when an event is on the screen after it was
// acknowledged: through the inbox on SQLite, the merge, the notification and the
// browser.
func BenchmarkEventVisible(b *testing.B) {
	s := startServer(b, filepath.Join(b.TempDir(), "live.db"))
	w := open(b, s.page, "/")
	value(w, chromedp.Evaluate[any](`window.seen = {}; new MutationObserver(() => requestAnimationFrame(() => {
		for (const r of document.querySelectorAll("#calls tbody tr")) window.seen[r.id] ??= Date.now();
	})).observe(document.body, {subtree: true, childList: true, attributes: true}); null`))
	var took []float64
	for i := 0; b.Loop(); i++ {
		id := fmt.Sprintf("CA%06d", i)
		post(b, s.backend+"/events", `{"message":{"type":"status-update","call":{"id":"`+id+`","status":"ongoing"}}}`)
		acked := time.Now()
		w.until("window.seen['c-" + id + "']")
		at := value(w, chromedp.Evaluate[float64]("window.seen['c-"+id+"']"))
		took = append(took, at-float64(acked.UnixMicro())/1000)
	}
	report(b, "visible", took)
}

// BenchmarkLongCall measures the page of a call with 300 turns.
func BenchmarkLongCall(b *testing.B) {
	d := startBackend(b)
	call := d.play("long-call", "late")
	b.ResetTimer()
	for b.Loop() {
		resp, err := http.Get(d.page + "/calls/" + call)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
	}
}
