package vercel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/platform"
	"github.com/serverurl/serverurl/sqldb"
)

const (
	testSecret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"
	testCron   = "1f0e2d3c4b5a69788796a5b4c3d2e1f0"
)

// A fake is an inbox and a backlog in memory.
type fake struct {
	put, drained, tended, swept, prepared int
	limit                                 int
	away                                  error // of the database
	hangs                                 bool  // the database does
	drain                                 func(ctx context.Context) error
}

func (f *fake) Put(ctx context.Context, es ...core.Envelope) error {
	if f.away != nil {
		return f.away
	}
	f.put += len(es)
	if accepted, ok := ctx.Value(acceptedKey{}).(*atomic.Bool); ok {
		accepted.Store(true)
	}
	return nil
}

func (f *fake) Prepare(ctx context.Context) error {
	f.prepared++
	if f.hangs {
		<-ctx.Done()
		return ctx.Err()
	}
	return f.away
}

func (f *fake) Drain(ctx context.Context, _ time.Duration, limit int) (sqldb.DrainResult, error) {
	f.drained++
	f.limit = limit
	if f.drain != nil {
		return sqldb.DrainResult{}, f.drain(ctx)
	}
	return sqldb.DrainResult{Delivered: f.put, Empty: true}, nil
}

func (f *fake) Maintain(context.Context) error     { f.tended++; return nil }
func (f *fake) SweepExpired(context.Context) error { f.swept++; return nil }

// fakeAdapter returns an adapter of the app on a fake, and its log.
func fakeAdapter(t *testing.T, p *core.Processor, f *fake) (*adapter, *bytes.Buffer) {
	t.Helper()
	log := new(bytes.Buffer)
	logger := slog.New(slog.NewTextHandler(log, nil))
	err := p.Bind(core.Platform{Name: "vercel", Store: coretest.NewMemoryStore(), Inbox: f, Logger: logger, Limits: core.Limits{MaxBodyBytes: MaxBodyBytes},
		ReplyTimeout: MaxDuration - margin, Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}})
	if err != nil {
		t.Fatal(err)
	}
	return newAdapter(p, f, testCron, logger, nil), log
}

func request(method, path, body string) *http.Request {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", testSecret)
	return r
}

func serve(a http.Handler, r *http.Request) (int, string) {
	w := httptest.NewRecorder()
	a.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

const ev = `{"message":{"type":"status-update","call":{"id":"CA1","status":"ongoing"}}}`

func TestWhatIsDrainedBeforeTheReply(t *testing.T) {
	for _, c := range []struct {
		why, path, body string
		drained         int
	}{
		{"an event's reply waits for what it brought", "/events", ev, 1},
		{"a caller hears silence while a tool waits", "/tools/opening_hours", `{}`, 0},
		{"so do tool calls that come as an event", "/events", `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[{"id":"t1","type":"function","function":{"name":"opening_hours","arguments":{}}}]}}`, 0},
		{"what was refused brought nothing", "/events", `{"message":`, 0},
		{"nor what was not found", "/nowhere", ev, 0},
	} {
		f := new(fake)
		a, _ := fakeAdapter(t, app.New(), f)
		serve(a, request("POST", c.path, c.body))
		if f.drained != c.drained || f.drained > 0 && f.limit != drainLimit || f.prepared != 1 {
			t.Errorf("%s: drained %d times, limit %d, prepared %d times", c.why, f.drained, f.limit, f.prepared)
		}
	}
}

// A drain that hangs is cut off, and the event is answered 200 anyway.
func TestReplyDoesNotWaitForever(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{drain: func(ctx context.Context) error { <-ctx.Done(); return errors.New("cut off") }}
		a, _ := fakeAdapter(t, app.New(), f)
		began := time.Now()
		status, body := serve(a, request("POST", "/events", ev))
		if status != 200 || body != "{}" || time.Since(began) != drainDeadline {
			t.Errorf("%d %s after %v", status, body, time.Since(began))
		}
	})
}

// The sender may hang up once it has sent: what it brought is delivered.
func TestDrainsForASenderThatIsGone(t *testing.T) {
	drained := false
	f := &fake{drain: func(ctx context.Context) error { drained = ctx.Err() == nil; return nil }}
	a, _ := fakeAdapter(t, app.New(), f)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if serve(a, request("POST", "/events", ev).WithContext(gone)); f.put != 1 || !drained {
		t.Errorf("put %d, drained %t", f.put, drained)
	}
}

func TestDatabaseThatIsAway(t *testing.T) {
	f := &fake{away: errors.New("sqldb: no Postgres answers at h:5432")}
	a, log := fakeAdapter(t, app.New(), f)
	if status, body := serve(a, request("POST", "/events", ev)); status != 503 || f.drained != 0 {
		t.Errorf("event: %d %s", status, body)
	}
	cron := request("GET", CronPath, "")
	cron.Header.Set("Authorization", "Bearer "+testCron)
	if status, _ := serve(a, cron); status != 503 {
		t.Errorf("cron: %d", status)
	}
	if !strings.Contains(log.String(), "no Postgres answers") {
		t.Error("the log does not say why")
	}
}

// A tool that needs no database is answered while the caller still listens.
func TestToolDoesNotWaitForADatabaseThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, _ := fakeAdapter(t, app.New(), &fake{hangs: true})
		began := time.Now()
		status, body := serve(a, request("POST", "/tools/opening_hours", `{}`))
		if status != 200 || !strings.Contains(body, "The practice is open") || time.Since(began) != toolPrepareTimeout {
			t.Errorf("%d %s after %v", status, body, time.Since(began))
		}
	})
}

// The cron ends a call whose report never came.
func TestCronSweeps(t *testing.T) {
	f, store, now := new(fake), coretest.NewMemoryStore(), time.Now()
	p := app.New()
	err := p.Bind(core.Platform{Name: "vercel", Store: store, Inbox: f, Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return now },
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}})
	if err != nil {
		t.Fatal(err)
	}
	e := core.Envelope{ID: "1", Received: now, Type: event.TypeStatusUpdate, Call: "CA1", Body: []byte(strings.Replace(ev, "ongoing", "finished", 1))}
	if err := p.Deliver(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	now = now.Add(time.Hour)
	r := request("GET", CronPath, "")
	r.Header.Set("Authorization", "Bearer "+testCron)
	if status, body := serve(newAdapter(p, f, testCron, slog.New(slog.DiscardHandler), nil), r); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if c, err := calls.Read(t.Context(), store, "CA1"); err != nil || !c.Ended {
		t.Errorf("%+v, %v", c.Summary, err)
	}
}

func TestCron(t *testing.T) {
	for _, c := range []struct {
		why, method, header string
		status              int
	}{
		{"Vercel sends its secret so", "GET", "Bearer " + testCron, 200},
		{"without it nobody drains", "GET", "", 401},
		{"a prefix is not it", "GET", "Bearer " + testCron[:31], 401},
		{"nor is the sender's", "GET", "Bearer " + testSecret, 401},
		{"the word before it belongs to it", "GET", testCron, 401},
		{"a cron is a GET", "POST", "Bearer " + testCron, 405},
	} {
		f := new(fake)
		a, log := fakeAdapter(t, app.New(), f)
		r := request(c.method, CronPath, "")
		r.Header.Set("Authorization", c.header)
		status, body := serve(a, r)
		did := f.drained + f.tended + f.swept
		if status != c.status || (did == 3) != (status == 200) || did != 0 && status != 200 {
			t.Errorf("%s: %d %s; %+v", c.why, status, body, f)
		}
		if strings.Contains(log.String(), testCron[:31]) {
			t.Errorf("%s: the secret is in the log", c.why)
		}
	}
}

func TestCronSaysWhatItDid(t *testing.T) {
	f := &fake{put: 7}
	a, _ := fakeAdapter(t, app.New(), f)
	r := request("GET", CronPath, "")
	r.Header.Set("Authorization", "Bearer "+testCron)
	if status, body := serve(a, r); status != 200 || body != `{"delivered":7,"failed":0,"empty":true}` {
		t.Errorf("%d %s", status, body)
	}
	f.drain = func(context.Context) error { return errors.New("database") }
	if status, body := serve(a, r); status != 500 || f.swept != 2 {
		t.Errorf("%d %s; a drain that fails does not keep the sweep off: %d", status, body, f.swept)
	}
}

// The body is not read when its length says that it is too large.
func TestBodyOverTheCap(t *testing.T) {
	a, log := fakeAdapter(t, app.New(), new(fake))
	r := request("POST", "/events", "")
	r.ContentLength = MaxBodyBytes + 1
	r.Body = io.NopCloser(readerFunc(func([]byte) (int, error) { t.Error("the body was read"); return 0, io.EOF }))
	if status, body := serve(a, r); status != 413 || body != `{"error":"too large"}` {
		t.Errorf("%d %s", status, body)
	}
	if !strings.Contains(log.String(), "over Vercel's 4.5 MB") {
		t.Errorf("the log does not say why: %s", log)
	}
	r = request("POST", "/events", ev+strings.Repeat(" ", MaxBodyBytes-len(ev)))
	if status, body := serve(a, r); status != 200 {
		t.Errorf("a body of 4.5 MB: %d %s", status, body)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }

// A tool's context ends before the platform ends it.
func TestDeadlineOfARequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var left time.Duration
		p := core.New()
		core.AddTool(p, core.Tool{Name: "look", Description: "Looks.", Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
			deadline, _ := ctx.Deadline()
			left = time.Until(deadline)
			return "seen", nil
		})
		a, _ := fakeAdapter(t, p, new(fake))
		if status, body := serve(a, request("POST", "/tools/look", `{}`)); status != 200 || !strings.Contains(body, "seen") {
			t.Fatalf("%d %s", status, body)
		}
		if left <= 0 || left > MaxDuration-margin {
			t.Errorf("a tool has %v of %v", left, MaxDuration)
		}
	})
}

func TestPanicIsAnsweredAndNotQuoted(t *testing.T) {
	a, log := fakeAdapter(t, app.New(), &fake{drain: func(context.Context) error { panic("Sam Rivera") }})
	if status, _ := serve(a, request("POST", "/events", ev)); status != 500 {
		t.Errorf("status %d", status)
	}
	if strings.Contains(log.String(), "Rivera") {
		t.Error("the log quotes a payload")
	}
}

func TestClientAddress(t *testing.T) {
	for sent, want := range map[string]string{
		"203.0.113.7": "203.0.113.7", " 2001:db8::1 ": "2001:db8::1", "": "", "203.0.113.7, 10.0.0.1": "", "<script>": "",
	} {
		if got := clientAddress(http.Header{"X-Real-Ip": {sent}, "X-Forwarded-For": {"198.51.100.1"}}); got != want {
			t.Errorf("%q is %q, want %q", sent, got, want)
		}
	}
}

// Vercel's bridge gives a function the URL of a client's request.
func TestURLAsItWasSent(t *testing.T) {
	for _, sent := range []string{"/", "/events", "/tools/a%2Fb?call=CA%201&x", "//events", "//tools/find%20it?x=1", "/a//b"} {
		r, err := http.NewRequest("POST", sent, nil)
		if err != nil {
			t.Fatal(err)
		}
		u := originalURL(r)
		got := u.EscapedPath()
		if u.RawQuery != "" {
			got += "?" + u.RawQuery
		}
		if got != sent || u.Host != "" {
			t.Errorf("%s became %s", sent, got)
		}
	}
	if u := originalURL(&http.Request{URL: &url.URL{Path: "/x"}}); u.Path != "/x" {
		t.Errorf("%v", u)
	}
}

func TestOpenSaysWhatIsMissing(t *testing.T) {
	const db = "postgres://u:hidden-password@h:5432/d"
	for _, c := range []struct{ env, want string }{
		{"", "no database"},
		{"SERVERURL_DATABASE_URL=sqlite:///x.db CRON_SECRET=" + testCron, "postgres://"},
		{"DATABASE_URL=" + db, "CRON_SECRET"},
		{"POSTGRES_URL=" + db + " CRON_SECRET=tooshort", "shorter than 16"},
		{"POSTGRES_URL=" + db + " CRON_SECRET=" + testCron, "no secret is set"},
		{"DATABASE_URL=" + db + " SERVERURL_SECRET=weak CRON_SECRET=" + testCron, "weak"},
		{"DATABASE_URL=" + db + " SERVERURL_SECRET=" + testSecret + " CRON_SECRET=" + testCron, ""},
	} {
		getenv := func(name string) string {
			for kv := range strings.FieldsSeq(c.env) {
				if v, ok := strings.CutPrefix(kv, name+"="); ok {
					return v
				}
			}
			return ""
		}
		b, err := open(app.New(), platform.Options{}, getenv, slog.New(slog.DiscardHandler))
		if b != nil {
			_ = b.db.Close()
		}
		if said := fmt.Sprint(err); (c.want == "") != (err == nil) || err != nil && !strings.Contains(said, c.want) || strings.Contains(said, "hidden") || strings.Contains(said, "tooshort") {
			t.Errorf("%s: %v, want %q", c.env, err, c.want)
		}
	}
}

// The backend's own routes answer on paths that are not ours, with the time and the
// size of body that the platform has.
func TestRoutes(t *testing.T) {
	f := new(fake)
	a, log := fakeAdapter(t, core.New(), f)
	routes := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/panics" {
			panic("canary")
		}
		_, timed := r.Context().Deadline()
		n, err := io.Copy(io.Discard, r.Body)
		fmt.Fprintf(w, "own %t %d %t", timed, n, err != nil)
	})
	a = newAdapter(a.p, f, testCron, slog.New(slog.NewTextHandler(log, nil)), routes)
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/faq", "", 200, "own true 0 false"},
		{"POST", "/faq/x", strings.Repeat("x", MaxBodyBytes+1), 200, "own true 4500000 true"},
		{"GET", "/panics", "", 500, "internal error"},
		{"GET", "/cron", "", 401, "unauthorized"},
		{"GET", "/cron/", "", 404, "not found"},
		{"GET", "/readyz", "", 404, "not found"},
		{"POST", "//tools//none", "{}", 200, "result"},
	} {
		status, body := serve(a, request(c.method, c.path, c.body))
		if status != c.status || !strings.Contains(body, c.want) {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
	}
	if said := log.String(); !strings.Contains(said, `level=ERROR msg="route panicked" platform=vercel go_type=string place=vercel/adapter_test.go:`) || strings.Contains(said, "canary") {
		t.Error(said)
	}
}

// The log says when a stop begins, and why, and when it is at its end: after the
// closers.
func TestStopIsLogged(t *testing.T) {
	getenv := func(name string) string {
		return map[string]string{"PORT": "0", "DATABASE_URL": "postgres://u:x@127.0.0.1:1/x", "CRON_SECRET": testCron, "SERVERURL_SECRET": testSecret}[name]
	}
	var log bytes.Buffer
	logger := slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
	ctx, stop := context.WithCancel(t.Context())
	stop()
	closer := func(context.Context) error { log.WriteString("closed\n"); return nil }
	if err := run(ctx, core.New(), platform.Options{Close: []func(context.Context) error{closer}}, getenv, logger); err != nil {
		t.Error(err)
	}
	const want = "level=INFO msg=stopping platform=vercel reason=signal\nclosed\nlevel=INFO msg=stopped platform=vercel\n"
	if said := log.String(); !strings.HasSuffix(said, want) {
		t.Error(said)
	}
}

// None of two options could be preferred.
func TestMainTakesOneOptions(t *testing.T) {
	if code := Main(core.New(), platform.Options{}, platform.Options{}); code != 2 {
		t.Errorf("exit code %d", code)
	}
}

// A start check runs before the first request, and its error ends the start.
func TestOptions(t *testing.T) {
	getenv := func(name string) string {
		return map[string]string{"DATABASE_URL": "postgres://u:hidden@127.0.0.1:1/x", "CRON_SECRET": testCron, "SERVERURL_SECRET": testSecret, "SERVERURL_RETENTION": "content=90d"}[name]
	}
	var log bytes.Buffer
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	p := core.New()
	b, err := open(p, platform.Options{Now: func() time.Time { return at }, Limits: core.Limits{MaxBodyBytes: 50 << 20}}, getenv, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer b.db.Close()
	if !p.Now().Equal(at) || p.MaxBodyBytes() != MaxBodyBytes {
		t.Errorf("%v, %d bytes", p.Now(), p.MaxBodyBytes())
	}
	if line := log.String(); !strings.Contains(line, "level=INFO msg=started platform=vercel version=") || !strings.Contains(line, "store=postgres retention=\"content=90d\" secrets=1") || strings.Contains(line, "hidden") {
		t.Error(line)
	}
	broken := errors.New("the calendar does not answer")
	_, err = open(core.New(), platform.Options{Start: func(context.Context) error { return broken }}, getenv, slog.New(slog.DiscardHandler))
	if !errors.Is(err, broken) {
		t.Error(err)
	}
}
