package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/sqldb"
	"github.com/serverurl/serverurl/vercel"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const (
	vercelSecret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"
	vercelCron   = "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
	vercelEvent  = `{"message":{"type":"status-update","call":{"id":"CA-%d","status":"ongoing"}}}`
)

// quietly makes a handler whose log goes nowhere.
func quietly(b *testing.B, f func() http.Handler) http.Handler {
	nowhere, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { nowhere.Close() })
	stderr := os.Stderr
	defer func() { os.Stderr = stderr }()
	os.Stderr = nowhere
	return f()
}

func postTo(client *http.Client, url, body string) error {
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", vercelSecret)
	resp, err := client.Do(r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	said, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("%d %s", resp.StatusCode, said)
	}
	return err
}

// BenchmarkVercel is a request over loopback, by the handler with its database
// and by a bare net/http server.
func BenchmarkVercel(b *testing.B) {
	b.Setenv("SERVERURL_SECRET", vercelSecret)
	b.Setenv("CRON_SECRET", vercelCron)
	b.Setenv("SERVERURL_DATABASE_URL", pgtest.Open(b))
	ours := httptest.NewServer(quietly(b, func() http.Handler { return vercel.Handler(app.New()) }))
	defer ours.Close()
	bare := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte("{}"))
	}))
	defer bare.Close()
	for _, c := range []struct {
		name, url string
		body      func(i int) string
	}{
		{"bare net/http", bare.URL, func(int) string { return "{}" }},
		{"tool without a store", ours.URL + "/tools/opening_hours", func(int) string { return "{}" }},
		{"tool that reads", ours.URL + "/tools/find_open_slots", func(int) string { return `{"date":"2035-07-17"}` }},
		{"event, delivered", ours.URL + "/events", func(i int) string { return fmt.Sprintf(vercelEvent, i) }},
	} {
		b.Run(c.name, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if err := postTo(http.DefaultClient, c.url, c.body(i)); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkVercelConnect is what a new instance does with a database whose
// tables are there, before its first request: connect, check, look at the schema.
func BenchmarkVercelConnect(b *testing.B) {
	direct := pgtest.New(b, &pgtest.Options{TCP: true, NoSync: true}).Database(b)
	for _, c := range []struct{ name, url string }{{"direct", direct}, {"pooler", pgtest.Pooler(b, direct)}} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				l, err := sqldb.OpenLazy(c.url, 4)
				if err != nil {
					b.Fatal(err)
				}
				if err := l.Connect(context.Background()); err != nil {
					b.Fatal(err)
				}
				_ = l.Close()
			}
		})
	}
}

// BenchmarkVercelStart is a program from its start to its first reply.
func BenchmarkVercelStart(b *testing.B) {
	database := pgtest.Open(b)
	for _, c := range []struct{ name, dir, pkg, path, body string }{
		{"bare net/http", ".", "./bare", "/", "{}"},
		{"tool", "..", "./cmd/vercel", "/tools/opening_hours", "{}"},
		{"event, delivered", "..", "./cmd/vercel", "/events", fmt.Sprintf(vercelEvent, 1)},
	} {
		b.Run(c.name, func(b *testing.B) {
			program := filepath.Join(b.TempDir(), "program")
			build := exec.Command("go", "build", "-trimpath", "-ldflags", "-s -w", "-o", program, c.pkg)
			build.Dir = c.dir
			if out, err := build.CombinedOutput(); err != nil {
				b.Fatalf("%v\n%s", err, out)
			}
			env := []string{"SERVERURL_SECRET=" + vercelSecret, "CRON_SECRET=" + vercelCron, "SERVERURL_DATABASE_URL=" + database}
			var listening, first []time.Duration
			for b.Loop() {
				l, f := coldStart(b, program, env, c.path, c.body)
				listening, first = append(listening, l), append(first, f)
			}
			b.ReportMetric(middle(listening), "ms-listening")
			b.ReportMetric(middle(first), "ms-first-reply")
		})
	}
}

// coldStart returns the time until the program listens, and from then to its
// first reply.
func coldStart(b *testing.B, program string, env []string, path, body string) (listening, first time.Duration) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command(program)
	cmd.Env = append(env, "PORT="+port)
	began := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	for {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
			break
		}
		if time.Since(began) > time.Minute {
			b.Fatal("it does not listen")
		}
	}
	listening = time.Since(began)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	if err := postTo(client, "http://"+addr+path, body); err != nil {
		b.Fatal(err)
	}
	return listening, time.Since(began) - listening
}

func middle(ds []time.Duration) float64 {
	slices.Sort(ds)
	return float64(ds[len(ds)/2]) / float64(time.Millisecond)
}
