package watch

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/vt"
	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "a-secret-of-more-than-thirty-two-bytes-0123456789"

// A backend delivers what it accepts at once, and records tool requests as the
// inspector does.
type backend struct {
	*core.Processor
	t     *testing.T
	store records.Store
}

func newBackend(t *testing.T) *backend {
	t.Helper()
	b := &backend{Processor: core.New(), t: t, store: coretest.NewMemoryStore()}
	type day struct {
		Date string `json:"date"`
	}
	core.AddTool(b.Processor, core.Tool{Name: "find_open_slots", Effect: core.ReadOnly}, func(_ context.Context, d day) (string, error) {
		return "Nine thirty is open.", nil
	})
	b.Observe(func(o core.Observation) {
		if o.Tool != nil {
			if err := calls.RecordToolRequest(context.Background(), b.store, *o.Tool); err != nil {
				t.Error(err)
			}
		}
	})
	err := b.Bind(core.Platform{
		Name: "test", Logger: slog.New(slog.DiscardHandler), Store: b.store, Inbox: b, Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(secret)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// Put implements core.Inbox.
func (b *backend) Put(ctx context.Context, es ...core.Envelope) error {
	for _, e := range es {
		if err := b.Deliver(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

func (b *backend) post(path, body string) {
	b.t.Helper()
	b.Handle(b.t.Context(), core.Request{Method: "POST", Path: strings.Split(path, "?")[0], Query: strings.TrimPrefix(strings.TrimPrefix(path, strings.Split(path, "?")[0]), "?"),
		Header: auth.Header{"X-Interactly-Secret": {secret}, "Content-Type": {"application/json"}}, Body: []byte(body)})
}

func (b *backend) call(id string) {
	b.post("/events", `{"message":{"type":"status-update","call":{"id":"`+id+`","status":"ongoing"}}}`)
	b.post("/events", `{"message":{"type":"conversation-update","call":{"id":"`+id+`","status":"ongoing"},"messages":[`+
		`{"messageId":"1","role":"assistant","text":"Bright Smile Dental, how can I help?"},{"messageId":"2","role":"user","text":"I am Sam Rivera."}]}}`)
}

func (b *backend) tool(call, date string) {
	b.post("/tools/find_open_slots?call="+call, `{"date":"`+date+`"}`)
}

// A terminal is a screen that a test can look at, with a keyboard.
type terminal struct {
	t    *testing.T
	mu   sync.Mutex // SafeEmulator does not lock in String
	vt   *vt.Emulator
	keys io.Writer
}

// Write translates line ends as a terminal driver does.
func (x *terminal) Write(b []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if _, err := x.vt.Write(bytes.ReplaceAll(b, []byte("\n"), []byte("\r\n"))); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (x *terminal) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.vt.String()
}

// sees waits until all texts are on the screen.
func (x *terminal) sees(texts ...string) {
	x.t.Helper()
	x.until(func(s string) bool {
		for _, text := range texts {
			if !strings.Contains(s, text) {
				return false
			}
		}
		return true
	}, strings.Join(texts, ", "))
}

func (x *terminal) until(ok func(string) bool, what string) {
	x.t.Helper()
	for end := time.Now().Add(time.Minute); !ok(x.String()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			x.t.Fatalf("not on the screen: %s\n%s", what, x.String())
		}
	}
}

func (x *terminal) press(keys string) {
	x.t.Helper()
	if _, err := io.WriteString(x.keys, keys); err != nil {
		x.t.Fatal(err)
	}
}

// start runs the screen on a terminal; ended receives its error.
func start(t *testing.T, b *backend) (x *terminal, ended chan error) {
	t.Helper()
	in, keys := io.Pipe()
	x = &terminal{t: t, vt: vt.NewEmulator(100, 24), keys: keys}
	ended = make(chan error, 1)
	ctx, cancel := context.WithCancel(t.Context())
	var program, answers sync.WaitGroup
	answers.Go(func() { _, _ = io.Copy(keys, x.vt) }) // a terminal answers queries
	program.Go(func() {
		ended <- runTUI(ctx, b.store, &Options{Name: "a test", PollInterval: 10 * time.Millisecond},
			tea.WithInput(in), tea.WithOutput(x), tea.WithWindowSize(100, 24), tea.WithEnvironment([]string{"TERM=xterm-256color"}))
	})
	t.Cleanup(func() {
		cancel()
		program.Wait()
		in.Close()
		x.vt.InputPipe().(io.Closer).Close() // Close races with Read
		answers.Wait()
	})
	return x, ended
}

func TestTUI(t *testing.T) {
	b := newBackend(t)
	x, ended := start(t, b)
	x.sees("no calls yet")

	b.call("CA-first")
	x.sees("1 live", "CA-first", "ongoing", "2 messages")
	b.tool("CA-first", "2035-07-16")
	x.sees("find_open_slots", "done")
	b.Handle(t.Context(), core.Request{Method: "OPTIONS", Path: "/tools/find_open_slots", Query: "call=CA-first", Header: auth.Header{"X-Interactly-Secret": {secret}}}) // 405
	x.sees("refused", "error: status", "1 issue")

	x.press("\t\t\t") // issues only
	x.until(func(s string) bool { return strings.Contains(s, "refused") && !strings.Contains(s, " done ") }, "issues only")
	x.press("\r")
	x.sees("This reply would be ignored because its status is 405", "Choose GET", "esc back")
	x.press("\x1b")
	x.sees("enter open")
	x.press("\t") // everything again
	x.sees(" done ")

	x.press("/ca-first ongoing\r")
	x.until(func(s string) bool {
		return strings.Contains(s, "/ca-first ongoing") && !strings.Contains(s, "find_open_slots")
	}, "what the filter leaves")
	x.press("\r")
	x.sees("call CA-first", "assistant", "•• •••")
	if s := x.String(); strings.Contains(s, "Rivera") || strings.Contains(s, "Bright Smile") {
		t.Errorf("a text is shown without a request:\n%s", s)
	}
	x.press("t")
	x.sees("I am Sam Rivera.")
	x.press("q")
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTUIEndsWithItsContext(t *testing.T) {
	b := newBackend(t)
	ctx, cancel := context.WithCancel(t.Context())
	in, keys := io.Pipe()
	defer keys.Close()
	ended := make(chan error, 1)
	go func() {
		ended <- runTUI(ctx, b.store, nil, tea.WithInput(in), tea.WithOutput(io.Discard), tea.WithWindowSize(80, 24))
	}()
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestFollow(t *testing.T) {
	b := newBackend(t)
	b.call("CA-first")
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := Follow(ctx, b.store, w, &Options{PollInterval: time.Millisecond})
		w.Close()
		ended <- err
	}()
	var all bytes.Buffer
	until := func(text string) {
		t.Helper()
		at := all.Len()
		for buf := make([]byte, 1024); !strings.Contains(all.String()[at:], text); {
			n, err := r.Read(buf)
			if err != nil {
				t.Fatalf("%q was not written:\n%s", text, &all)
			}
			all.Write(buf[:n])
		}
	}
	until("call  CA-first  ongoing, 2 messages\n")
	b.tool("CA-first", "2035-07-16")
	until("tool  find_open_slots  done in ")
	b.post("/events", `{"message":{"type":"hang","call":{"id":"CA-first"}}}`)
	until("2 messages, 1 hang\n")
	b.post("/events", `{"message":{"type":"end-of-call-report","call":{"id":"CA-first","status":"completed"},"analysis":{"summary":"Sam Rivera booked."}}}`)
	until("ended")
	cancel()
	go io.Copy(io.Discard, r)
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if s := all.String(); strings.Contains(s, "Rivera") || strings.Contains(s, "2035-07-16") {
		t.Errorf("a text of the call's is in the lines:\n%s", s)
	}
}

// A call needs attention if it ended without a report, and not if its report was
// backfilled.
func TestCallWithoutAReportNeedsAttention(t *testing.T) {
	for reason, want := range map[event.EndReason]bool{event.EndReasonReport: false, event.EndReasonBackfill: false, event.EndReasonReportTimeout: true, event.EndReasonIdleTimeout: true} {
		i := item{call: &calls.Summary{ID: "CA1", Ended: true, EndReason: reason}}
		if got := i.needsAttention(); got != want {
			t.Errorf("%q: needs attention: %v, want %v", reason, got, want)
		}
		if row := row(i); strings.Contains(row, "ended: ") != want {
			t.Errorf("%q: %s", reason, row)
		}
	}
	if (item{call: &calls.Summary{ID: "CA1"}}).needsAttention() {
		t.Error("a call in progress needs attention")
	}
}

// Different counts are different versions.
func TestVersion(t *testing.T) {
	seen := map[string]int{}
	for _, n := range []int{0, 1, 0xD800, 0xD801, 0x110000, 0x110001} {
		v := item{call: &calls.Summary{ID: "CA1", MessageCount: n}}.version()
		if was, there := seen[v]; there {
			t.Errorf("%d messages and %d have one version", n, was)
		}
		seen[v] = n
	}
}

// A name in a payload cannot move the cursor.
func TestNoControlCharacters(t *testing.T) {
	b := newBackend(t)
	b.post("/events", `{"message":{"type":"status-update","call":{"id":"CA1","status":"ongoing"},"assistant":{"name":"a\u001b[2Jb\u009bc"}}}`)
	items, err := poll(t.Context(), b.store)
	if err != nil || len(items) != 1 {
		t.Fatal(len(items), err)
	}
	if row := row(items[0]); strings.Contains(row, "\x1b[2J") || strings.Contains(row, "\u009b") || !strings.Contains(row, "a[2Jbc") {
		t.Errorf("%q", row)
	}
}
