package coretest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// A mailbox records what is delivered.
type mailbox struct {
	// react says how the nth delivery of an envelope ends, from 1. nil: well.
	react func(e core.Envelope, n int) error

	mu      sync.Mutex
	tries   map[string]int
	got     map[string][]core.Envelope // those that ended well
	changed chan struct{}              // closed at each change
}

func newMailbox(react func(core.Envelope, int) error) *mailbox {
	return &mailbox{react: react, tries: map[string]int{}, got: map[string][]core.Envelope{}, changed: make(chan struct{})}
}

func (m *mailbox) deliver(_ context.Context, e core.Envelope) error {
	m.mu.Lock()
	m.tries[e.ID]++
	n := m.tries[e.ID]
	m.mu.Unlock()
	kept := e
	kept.Body = bytes.Clone(e.Body)
	if m.react != nil {
		if err := m.react(e, n); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got[e.ID] = append(m.got[e.ID], kept)
	close(m.changed)
	m.changed = make(chan struct{})
	return nil
}

// until waits until ok, which holds the lock, says so.
func (m *mailbox) until(ctx context.Context, tr InboxTraits, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, tr.Wait)
	defer cancel()
	for {
		m.mu.Lock()
		done, changed := ok(), m.changed
		count := len(m.got)
		m.mu.Unlock()
		if done {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return fmt.Errorf("%s: not within %v; %d envelopes came", what, tr.Wait, count)
		}
	}
}

// all waits until each of the envelopes has come, and compares.
func (m *mailbox) all(ctx context.Context, tr InboxTraits, want ...core.Envelope) error {
	missing := len(want)
	err := m.until(ctx, tr, "delivery", func() bool {
		missing = 0
		for _, e := range want {
			if len(m.got[e.ID]) == 0 {
				missing++
			}
		}
		return missing == 0
	})
	if err != nil {
		return fmt.Errorf("%d of %d are missing: %w", missing, len(want), err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range want {
		for _, got := range m.got[e.ID] {
			if err := same(got, e); err != nil {
				return fmt.Errorf("%s: %w", e.ID, err)
			}
		}
	}
	return nil
}

func same(got, want core.Envelope) error {
	var errs []error
	if got.Type != want.Type || got.Call != want.Call || got.ID != want.ID {
		errs = append(errs, fmt.Errorf("got id %q, type %q, call %q; want %q, %q, %q", got.ID, got.Type, got.Call, want.ID, want.Type, want.Call))
	}
	if g, w := got.Received, want.Received; g.UnixMilli() != w.UnixMilli() || g.Location() != time.UTC {
		errs = append(errs, fmt.Errorf("received %v; want %v in UTC", g, w))
	}
	if got.Backfilled != want.Backfilled || got.RedriveCount != want.RedriveCount {
		errs = append(errs, fmt.Errorf("backfilled %t, redriven %d times; want %t, %d", got.Backfilled, got.RedriveCount, want.Backfilled, want.RedriveCount))
	}
	if !bytes.Equal(got.Body, want.Body) {
		errs = append(errs, fmt.Errorf("body of %d bytes, %.40q…; want %d bytes, %.40q…", len(got.Body), got.Body, len(want.Body), want.Body))
	}
	return errors.Join(errs...)
}

// letter makes an envelope as core.Processor does.
func letter(name, body string) core.Envelope {
	id := sha256.Sum256([]byte(name))
	return core.Envelope{
		ID:       fmt.Sprintf("%x", id[:16]),
		Received: time.UnixMilli(1_790_000_000_123).Add(time.Duration(id[0]) * time.Hour).UTC(),
		Type:     event.TypeStatusUpdate,
		Call:     "call-" + event.CallID(name),
		Body:     []byte(body),
	}
}

func letters(name string, n int) []core.Envelope {
	es := make([]core.Envelope, n)
	for i := range es {
		es[i] = letter(fmt.Sprint(name, i), fmt.Sprintf(`{"message":{"type":"status-update","n":%d}}`, i))
	}
	return es
}

func arrives(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, typ := range []event.Type{
		event.TypeStatusUpdate, event.TypeConversationUpdate, event.TypeHang, event.TypeError, event.TypeReport, "of-next-year", "",
	} {
		e := letter(fmt.Sprint("arrives", i), `{"message":{"type":"x"}}`)
		e.Type, e.Backfilled, e.RedriveCount = typ, i%2 == 0, i
		e.Received = time.Date(2026, 2, 28+i, 23, 59, 59, 999e6, time.FixedZone("", -8*3600))
		if i == 6 {
			e.Call = ""
		}
		if err := in.Put(ctx, e); err != nil {
			return err
		}
		es = append(es, e)
	}
	return m.all(ctx, tr, es...)
}

func nothingIsNothing(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	return open(newMailbox(nil).deliver).Put(ctx)
}

// oddBodies are valid JSON that something on the way could change.
func oddBodies() []string {
	var all strings.Builder // every character that may stand in a JSON string unescaped
	for r := rune(0x20); r <= 0x10ffff; r++ {
		if r != '"' && r != '\\' && (r < 0xd800 || r > 0xdfff) {
			all.WriteRune(r)
		}
	}
	return []string{
		`0`, `{}`, `null`, `""`,
		" \t\r\n{ \"b\" : 1 ,\n\"a\" : 2 }\r\n",
		`{"a":1,"a":2,"A":3}`,
		`[1.0,1,1e2,100000000000000000001,-0,0.1000]`,
		`{"nul":"\u0000","esc":"\u001b\u0008\f\/","A":"\u0041"}`,
		`{"half":"\ud800","pair":"\ud83d\ude00","raw":"😀"}`,
		"{\"not in XML\":\"\uffff\ufffe\u007f\u0080\u009f\ufdd0\",\"lines\":\"\u2028\u2029\u0085\",\"bom\":\"\ufeff\"}",
		`{"html":"<script>&amp;'</script>","sql":"'; DROP TABLE calls; --","printf":"%s%n","shell":"$(date)"}`,
		`{"decomposed":"é é Å"}`,
		`"` + strings.Repeat(`\\\"`, 1000) + `"`,
		strings.Repeat("[", 60) + strings.Repeat("]", 60),
		`"` + all.String() + `"`,
	}
}

func bodiesAreExact(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, body := range oddBodies() {
		if len(body) > tr.MaxBody {
			body = body[:1] + strings.ToValidUTF8(body[1:tr.MaxBody-8], "") + `"`
		}
		e := letter(fmt.Sprint("body", i), body)
		if err := in.Put(ctx, e); err != nil {
			return fmt.Errorf("body %d: %w", i, err)
		}
		es = append(es, e)
	}
	return m.all(ctx, tr, es...)
}

func oddIDs(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	var es []core.Envelope
	for i, id := range []string{"a\x00b", "\"'\\", "\uffff\ufffe", "a b/c?d=e&f", "Ünï 😀", "\x1b[31m", strings.Repeat("x", 2000)} {
		e := letter(fmt.Sprint("id", i), `{}`)
		e.Call, e.Type = event.CallID(id), event.Type(id)
		if err := in.Put(ctx, e); err != nil {
			return fmt.Errorf("call %.20q: %w", id, err)
		}
		es = append(es, e)
	}
	return m.all(ctx, tr, es...)
}

func largestBody(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	random := make([]byte, tr.MaxBody)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"[r.IntN(64)]
	}
	random[0], random[len(random)-1] = '"', '"'
	var es []core.Envelope
	for i, body := range []string{
		string(random),
		`"` + strings.Repeat("x", tr.MaxBody-2) + `"`,
		`"` + strings.Repeat("é", (tr.MaxBody-2)/2) + `"`,
	} {
		es = append(es, letter(fmt.Sprint("large", i), body))
		if err := in.Put(ctx, es[i]); err != nil {
			return fmt.Errorf("%d bytes: %w", len(body), err)
		}
	}
	return m.all(ctx, tr, es...)
}

func severalAtOnce(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := letters("several", 25)
	if err := in.Put(ctx, es...); err != nil {
		return err
	}
	return m.all(ctx, tr, es...)
}

func allOrNone(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	const puts, each = 40, 5
	done := make([][]core.Envelope, puts)
	var good []core.Envelope
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range puts {
		wg.Go(func() {
			done[i] = letters(fmt.Sprint("all", i, "-"), each)
			ctx, cancel := context.WithTimeout(ctx, time.Duration(i)*200*time.Microsecond)
			defer cancel()
			if i >= puts/2 {
				ctx = context.WithoutCancel(ctx)
			}
			if in.Put(ctx, done[i]...) == nil {
				mu.Lock()
				good = append(good, done[i]...)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := m.all(ctx, tr, good...); err != nil {
		return err
	}
	return m.until(ctx, tr, "every Put whole or not at all", func() bool {
		return !slices.ContainsFunc(done, func(es []core.Envelope) bool {
			n := 0
			for _, e := range es {
				n += min(1, len(m.got[e.ID]))
			}
			return n != 0 && n != each
		})
	})
}

func manyAtOnce(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := letters("many", tr.Events)
	const callers = 50
	var mu sync.Mutex
	var failed error
	var wg sync.WaitGroup
	for c := range callers {
		wg.Go(func() {
			for i := c; i < len(es); i += callers {
				if err := in.Put(ctx, es[i]); err != nil {
					mu.Lock()
					failed = err
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	if failed != nil {
		return failed
	}
	return m.all(ctx, tr, es...)
}

func repeatedPut(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	e := letter("repeated", `{"n":1}`)
	for range 2 {
		if err := in.Put(ctx, e); err != nil {
			return err
		}
	}
	if err := m.all(ctx, tr, e); err != nil {
		return err
	}
	return in.Put(ctx, e) // and after it was delivered
}

func putSlicesAreNotKept(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	es := letters("slices", 20)
	for i := range es {
		es[i].Body = []byte(`"` + strings.Repeat("a", 5000) + `"`)
	}
	want := make([]core.Envelope, len(es))
	for i, e := range es {
		want[i] = e
		want[i].Body = bytes.Clone(e.Body)
	}
	if err := in.Put(ctx, es...); err != nil {
		return err
	}
	for i := range es {
		for j := range es[i].Body {
			es[i].Body[j] = 'X'
		}
		es[i] = core.Envelope{}
	}
	return m.all(ctx, tr, want...)
}

var errHandler = errors.New("coretest: handler fails")

func deliveryOwnsBody(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(func(e core.Envelope, n int) error {
		for i := range e.Body {
			e.Body[i] = 'X'
		}
		if n < 2 {
			return errHandler
		}
		return nil
	})
	in := open(m.deliver)
	e := letter("own", `{"message":{"type":"hang"}}`)
	e.Body = bytes.Clone(e.Body)
	want := e
	want.Body = bytes.Clone(e.Body)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	return m.all(ctx, tr, want)
}

func failureIsRepeated(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	return repeated(ctx, open, tr, func(n int) error {
		if n < 3 {
			return fmt.Errorf("wrapped: %w", errHandler)
		}
		return nil
	})
}

func panicIsRepeated(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	return repeated(ctx, open, tr, func(n int) error {
		if n < 3 {
			panic("coretest: a handler panics")
		}
		return nil
	})
}

func repeated(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits, end func(n int) error) error {
	m := newMailbox(func(_ core.Envelope, n int) error { return end(n) })
	in := open(m.deliver)
	es := letters("repeated", 5)
	for _, e := range es {
		if err := in.Put(ctx, e); err != nil {
			return err
		}
	}
	return m.all(ctx, tr, es...)
}

// poison puts envelopes that can never be delivered among others.
func poison(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) (in core.Inbox, bad, good []core.Envelope, err error) {
	bad, good = letters("bad", 3), letters("good", 50)
	m := newMailbox(func(e core.Envelope, n int) error {
		if slices.ContainsFunc(bad, func(b core.Envelope) bool { return b.ID == e.ID }) {
			return errHandler
		}
		return nil
	})
	in = open(m.deliver)
	for i, e := range good {
		if i < len(bad) {
			err = in.Put(ctx, bad[i])
		}
		if err = errors.Join(err, in.Put(ctx, e)); err != nil {
			return
		}
	}
	return in, bad, good, m.all(ctx, tr, good...)
}

func poisonBlocksNobody(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	_, _, _, err := poison(ctx, open, tr)
	return err
}

func theDeadAreKept(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	in, bad, _, err := poison(ctx, open, tr)
	if err != nil {
		return err
	}
	want := make([]string, len(bad))
	for i, e := range bad {
		want[i] = e.ID
	}
	slices.Sort(want)
	var got []string
	for end := time.Now().Add(tr.Wait); time.Now().Before(end); {
		if got, err = tr.Dead(ctx, in); err != nil {
			return err
		}
		slices.Sort(got)
		if got = slices.Compact(got); slices.Equal(got, want) {
			return nil
		}
		select {
		case <-time.After(20 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fmt.Errorf("%d are dead, want %d: got %q, want %q", len(got), len(want), got, want)
}

func deliveryHasDeadline(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	deadline := make(chan bool, 100)
	in := open(func(ctx context.Context, e core.Envelope) error {
		at, ok := ctx.Deadline()
		deadline <- ok && at.After(time.Now())
		return m.deliver(ctx, e)
	})
	e := letter("deadline", `{}`)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	if err := m.all(ctx, tr, e); err != nil {
		return err
	}
	if !<-deadline {
		return errors.New("it has none, or it has passed")
	}
	return nil
}

func cancelledPut(ctx context.Context, open func(Deliver) core.Inbox, tr InboxTraits) error {
	m := newMailbox(nil)
	in := open(m.deliver)
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if err := in.Put(ended, letter("ended", `{}`)); err == nil {
		return errors.New("it returned nil")
	}
	e := letter("alive", `{}`)
	if err := in.Put(ctx, e); err != nil {
		return err
	}
	return m.all(ctx, tr, e)
}
