package inspect_test

import (
	"context"
	_ "embed"
	"flag"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/internal/testing/testenv"
	"github.com/serverurl/serverurl/simulate"
)

var screenshots = flag.Bool("screenshots", false, "write the pictures of docs/images")

//go:embed testdata/axe-4.14.1.min.js
var axe string

// An action is something to do in a browser.
type action = chromedp.Action[chromedp.Void]

// connected is a page that has started and hears from the server.
const connected = "document.readyState === 'complete' && (e => !e || e.classList.contains('on'))(document.getElementById('livedot'))"

// A tab is a browser's window that looks at one page.
type tab struct {
	t    testing.TB
	ctx  context.Context
	root string
	last error // of what was waited for

	troubled func() bool // whether what open watches for has come
}

// open opens a browser of its own, so that nothing of another test is in it.
// It fails the test when a request leaves the machine, when a script throws,
// or when the browser reports a break of the page's policy.
func open(t testing.TB, root, path string, opts ...action) *tab {
	t.Helper()
	program := testenv.Program(t, "chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1400, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(ctx, patience)
	t.Cleanup(func() { cancel(); end() })
	var mu sync.Mutex
	var trouble []string
	b := &tab{t: t, ctx: ctx, root: root, troubled: func() bool { mu.Lock(); defer mu.Unlock(); return len(trouble) > 0 }}
	note := func(s string) { mu.Lock(); trouble = append(trouble, s); mu.Unlock() }
	err := chromedp.Listen(ctx, func(ev any) {
		switch e := ev.(type) {
		case *network.EventRequestWillBeSent:
			if u, err := url.Parse(e.Request.URL); err != nil || u.Hostname() != "127.0.0.1" && u.Scheme != "data" && u.Scheme != "about" && u.Scheme != "blob" {
				note("a request left the machine: " + e.Request.URL)
			}
		case *cdpruntime.EventExceptionThrown:
			note("a script threw: " + e.ExceptionDetails.Text + " " + e.ExceptionDetails.Exception.Description)
		case *cdplog.EventEntryAdded:
			if e.Entry.Level == "error" && !strings.Contains(e.Entry.Text, "status of 4") {
				note("the browser reports: " + e.Entry.Text)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		mu.Lock()
		defer mu.Unlock()
		for _, s := range trouble {
			t.Error(s)
		}
	})
	if _, err := chromedp.Call(ctx, network.Enable, network.EnableParams{}); err != nil {
		t.Fatal(err)
	}
	b.do(opts...)
	b.do(chromedp.Navigate(root+path), b.visible("main"))
	b.until(connected)
	return b
}

func (b *tab) do(actions ...action) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// until waits until a condition of the page's holds.
func (b *tab) until(condition string) {
	b.t.Helper()
	if !b.soon(condition) {
		text, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("document.body.innerText"))
		focus, _ := chromedp.Run(b.ctx, chromedp.Evaluate[string]("location + ' ' + document.activeElement.outerHTML.slice(0, 200)"))
		b.t.Fatalf("never: %s\nlast error: %v\nat %s\n%s", condition, b.last, focus, text)
	}
}

func (b *tab) soon(condition string) bool {
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var ok bool
		if ok, b.last = chromedp.Run(b.ctx, chromedp.Evaluate[bool]("!!("+condition+")")); b.last == nil && ok {
			return true
		}
		if b.ctx.Err() != nil || b.troubled() { // the test fails anyway, and need not wait
			return false
		}
	}
	return false
}

func (b *tab) untilText(text string) {
	b.t.Helper()
	b.until("document.body.innerText.includes(" + quote(text) + ")")
}

func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "\\'") + "'" }

func (b *tab) text() string {
	b.t.Helper()
	return value(b, chromedp.Evaluate[string]("document.body.innerText"))
}

// value is what an action finds.
func value[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// click clicks what a selector finds, as soon as it is there. What is live may
// be drawn anew between finding and clicking, so both are one step; the click
// itself comes after the answer, because it may end the page.
func (b *tab) click(selector string) action {
	return func(context.Context, *chromedp.Target) (chromedp.Void, error) {
		b.until("(e => e && !e.disabled && (setTimeout(() => e.click()), true))(document.querySelector(" + quote(selector) + "))")
		return chromedp.Void{}, nil
	}
}

// fill types into a field that is emptied first.
func (b *tab) fill(selector, text string) action {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		b.until("(e => e && (e.focus(), e.value = '', e.dispatchEvent(new Event('input', {bubbles: true})), document.activeElement === e))(document.querySelector(" + quote(selector) + "))")
		if text == "" {
			return chromedp.Void{}, nil
		}
		return chromedp.KeyEvent(text)(ctx, t)
	}
}

func (b *tab) visible(selector string) action {
	return func(context.Context, *chromedp.Target) (chromedp.Void, error) {
		b.until("(e => e && e.checkVisibility())(document.querySelector(" + quote(selector) + "))")
		return chromedp.Void{}, nil
	}
}

func (b *tab) key(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.until(connected) // before it, nobody listens to keys
		b.do(chromedp.KeyEvent(k))
	}
}

// shot writes a picture for the documents, where it is asked for.
func (b *tab) shot(name string) {
	b.t.Helper()
	if !*screenshots {
		return
	}
	b.until("!document.querySelector('.chart') || innerWidth < 721 || document.querySelector('#chart-calls canvas')")
	time.Sleep(1500 * time.Millisecond) // what is new has stopped glowing
	png := value(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join("..", "docs", "images", name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// accessible fails the test when axe finds something: contrast, names,
// landmarks, labels, order of headings.
func (b *tab) accessible(what string) {
	b.t.Helper()
	value(b, chromedp.Evaluate[any](axe+"; null"))
	found := value(b, chromedp.Evaluate[string](`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r =>
		r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.map(n => "    " + n.html.slice(0, 160) + "\n    " + n.failureSummary).join("\n")).join("\n"))`, chromedp.EvalAwaitPromise))
	if found != "" {
		b.t.Errorf("%s is not accessible:\n%s", what, found)
	}
}

func dark() action {
	return func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		_, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: "dark"}}})
		return chromedp.Void{}, err
	}
}

func phone() action {
	return chromedp.EmulateViewport(390, 844, chromedp.EmulateScale(2), chromedp.EmulateMobile)
}

// overflow is how much wider than the window the page is: 0 where nothing has to
// be scrolled sideways.
func (b *tab) overflow() int {
	b.t.Helper()
	return value(b, chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
}

func madeUp(o *inspect.Options) { o.MadeUp = true }

func TestCallAppearsAsItHappens(t *testing.T) {
	d := openDesk(t, madeUp)
	b := open(t, d.page, "/")
	b.untilText("No calls yet")
	d.status("CA1", "queued")
	b.until("document.querySelector('#c-CA1 .status').innerText === 'queued'")
	d.status("CA1", "ongoing")
	b.until("document.querySelector('#c-CA1 .status').innerText === 'ongoing'")

	b.do(b.click("#c-CA1 a"), b.visible(".callhead"))
	b.until("document.getElementById('livedot').classList.contains('on')")
	d.said("CA1", "I would like a cleaning")
	b.untilText("I would like a cleaning")
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	b.until("document.querySelector('.toolcard b').innerText === 'find_open_slots'")
	d.status("CA1", "finished")
	b.until("document.querySelector('.headline .status').innerText === 'finished'")
}

func TestFilterAndSearch(t *testing.T) {
	d := openDesk(t, madeUp)
	d.status("CA1", "ongoing")
	d.status("CA2", "failed")
	d.post("/events", `{"message":{"type":"hang","call":{"id":"CA3","metadata":{"practiceId":"prac_999"}}}}`)
	d.post("/tools/my_appointments?call=CA1", `{"phone":"+14155550142"}`)
	b := open(t, d.page, "/")
	rows := func(want string) {
		t.Helper()
		b.until("Array.from(document.querySelectorAll('#calls tbody tr')).map(r => r.id).sort().join() === " + quote(want))
	}
	rows("c-CA1,c-CA2,c-CA3")
	b.do(b.click(`[data-state="failed"]`))
	rows("c-CA2")
	b.do(b.click(`[data-state="hang"]`))
	rows("c-CA3")
	b.do(b.click(`[data-state=""]`))
	rows("c-CA1,c-CA2,c-CA3")
	b.do(b.fill("#q", "prac_999"))
	rows("c-CA3")
	b.do(b.fill("#q", ""), b.fill("#q", "ca2"))
	rows("c-CA2")
	b.do(b.fill("#q", ""), chromedp.Navigate(d.page+"/?tool=my_appointments"))
	rows("c-CA1")
	b.do(chromedp.Navigate(d.page + "/?assistant=Front+desk"))
	rows("c-CA1,c-CA2")
	d.status("CA4", "queued") // what is new has to pass the filter too
	rows("c-CA1,c-CA2,c-CA4")
	b.until("document.querySelector('[data-state=\"failed\"] span').innerText === '1'")
}

// The demo's promise: whoever has never seen the page finds the slow tool and
// the reply that would be ignored, from the call's own page.
func TestSlowToolAndIgnoredReplyAreFound(t *testing.T) {
	d := openDesk(t, madeUp)
	call := d.play("booking")
	d.post("/tools/check_insurance?call="+call, `{"plan":"slow"}`)
	d.post("/tools/my_appointments?call="+call, `{"phone": +14155550142}`)
	b := open(t, d.page, "/")
	b.until("document.querySelector('#c-" + call + " .marks').innerText.includes('ignored reply')")
	b.until("document.querySelector('#c-" + call + " .marks').innerText.includes('slow tool')")
	b.do(chromedp.Navigate(d.page + "/calls/" + call))
	b.untilText("A reply of my_appointments would be ignored")
	b.untilText("check_insurance was slow")
	b.shot("inspector-call")
	b.accessible("the call")
	b.do(b.click(".alarm.ignored"), b.visible(".finding.ignored"))
	if text := b.text(); !strings.Contains(text, "This reply would be ignored because its status is 400") || !strings.Contains(text, "may lack its quotes") {
		t.Errorf("the lint does not say why, or how to mend it:\n%s", text)
	}
	b.shot("inspector-lint")
	b.accessible("a tool request")
}

func TestSendAgainShowsTheDifference(t *testing.T) {
	d := openDesk(t, madeUp)
	d.status("CA1", "ongoing")
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	b := open(t, d.page, "/calls/CA1")
	b.key("e")
	b.until("document.querySelector('.ev[open] pre')")
	b.key("s")
	b.untilText("the same reply as then")
	b.until("document.querySelector('.toolcard')")
	d.post("/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
	b.do(b.click(".toolcard"), b.visible(".finding"))
	b.key("s")
	b.untilText("another reply than then")
	b.until("document.querySelector('.diff .del').innerText.includes('09:00')")
	b.shot("inspector-again")
}

func TestSideEffectIsTriedOnlyWithConsent(t *testing.T) {
	d := openDesk(t, madeUp)
	b := open(t, d.page, "/tools/book_appointment")
	b.do(b.fill("#arg-date", "2035-07-16"), b.fill("#arg-time", "09:00"), b.fill("#arg-name", "Sam Rivera"), b.fill("#arg-phone", "+14155550142"),
		b.click(".try button"))
	b.untilText("Tick the box")
	b.do(b.click(`.try input[name="confirm"]`), b.click(".try button"))
	b.untilText("Booked: a check-up for Sam Rivera")
	b.untilText("This reply is taken.")
	b.shot("inspector-try")
	b.accessible("a tool")
}

func TestKeyboardOnly(t *testing.T) {
	d := openDesk(t, madeUp)
	d.status("CA1", "ongoing")
	d.status("CA2", "ongoing")
	b := open(t, d.page, "/")
	b.until("document.querySelectorAll('#calls tbody tr').length === 2")
	b.key("/")
	b.until("document.activeElement.id === 'q'")
	b.do(b.fill("#q", "")) // the protocol types what a browser would not: the key was taken
	b.key(kb.Escape)
	b.until("document.activeElement === document.body")
	b.key("j")
	b.until("document.activeElement.innerText === 'CA2'")
	b.key("j")
	b.until("document.activeElement.innerText === 'CA1'")
	b.key("k", kb.Enter)
	b.until("location.pathname === '/calls/CA2' && document.querySelector('.callhead')")
	b.key("j")
	b.until("location.pathname === '/calls/CA1' && document.querySelector('.callhead')")
	b.key("u")
	b.until("location.pathname === '/' && document.querySelector('#calls')")
	b.key("f")
	b.until("document.activeElement.classList.contains('chip')")
	b.key("?")
	b.until("document.querySelector('#help').open")
	b.accessible("the list of keys")
	b.key(kb.Escape)
	b.until("!document.querySelector('#help').open")
	value(b, chromedp.Evaluate[any]("document.activeElement.blur(); null"))
	b.key(kb.Tab)
	b.until("document.activeElement.matches('a, button, input, select, summary')")
}

func TestDarkAndLight(t *testing.T) {
	d := openDesk(t, madeUp)
	call := d.play("barge-in")
	b := open(t, d.page, "/calls/"+call, dark())
	background := "getComputedStyle(document.body).backgroundColor"
	b.until(background + " === 'rgb(16, 18, 20)'")
	b.accessible("a call in the dark")
	b.shot("inspector-dark")
	b.key("t")
	b.until(background + " === 'rgb(247, 247, 245)'")
	b.do(chromedp.Reload(), b.visible("main"))
	b.until(background + " === 'rgb(247, 247, 245)'") // it is remembered
}

func TestPhone(t *testing.T) {
	d := openDesk(t, madeUp)
	call := d.play("barge-in")
	d.play("hang")
	b := open(t, d.page, "/", phone())
	b.until("document.querySelectorAll('#calls tbody tr').length === 2")
	for _, path := range []string{"/", "/calls/" + call, "/tools", "/tools/book_appointment", "/health"} {
		b.do(chromedp.Navigate(d.page+path), b.visible("main"))
		if n := b.overflow(); n > 0 {
			t.Errorf("%s is %d px wider than a phone: %s", path, n, value(b, chromedp.Evaluate[string](
				"Array.from(document.querySelectorAll('body *')).filter(e => e.getBoundingClientRect().right > document.documentElement.clientWidth + 1).map(e => e.tagName + '.' + (e.className.baseVal ?? e.className)).slice(0, 12).join(' ')")))
		}
		b.accessible(path + " on a phone")
	}
	b.do(chromedp.Navigate(d.page+"/calls/"+call), b.visible("main"))
	if *screenshots {
		png := value(b, chromedp.CaptureScreenshot())
		if err := os.WriteFile(filepath.Join("..", "docs", "images", "inspector-phone.png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShowingIsADeliberateAct(t *testing.T) {
	d := openDesk(t)
	d.said("CA1", "My number is 4155550142")
	b := open(t, d.page, "/calls/CA1")
	if text := b.text(); strings.Contains(text, "number is") || strings.Contains(text, "4155550142") {
		t.Fatalf("text is shown without being asked for:\n%s", text)
	}
	b.key("m")
	b.untilText("My number is 4155550142")
	audits, err := inspect.Audits(t.Context(), d.store, 10)
	if err != nil || len(audits) != 1 || audits[0].What != "CA1" {
		t.Errorf("audits %+v, %v; want that CA1 was shown", audits, err)
	}
	b.key("m")
	b.untilText("Show text and numbers")
}

func TestScenarioIsPlayed(t *testing.T) {
	d := openDesk(t, madeUp)
	b := open(t, d.page, "/")
	b.do(b.click("#play summary"), b.visible("#play .drop"), b.click(`#play button[value="booking"]`))
	b.until("document.querySelector('#calls tbody tr .status.s-finished')")
}

func TestListAndHealthAreAccessible(t *testing.T) {
	d := openDesk(t, madeUp)
	for _, s := range []string{"booking", "barge-in", "hang", "model-error", "failed-call", "cancel", "web-call", "transfer"} {
		d.play(s, simulate.FaultDuplicate)
	}
	d.post("/tools/find_open_slots", `{"date":`)
	d.inbox.mu.Lock()
	d.inbox.dead = []inspect.DeadEvent{{ID: "7", Call: "CA1", Type: "hang", Died: time.Now(), Attempts: 12, Reason: "handler failed"}}
	d.inbox.mu.Unlock()
	b := open(t, d.page, "/")
	b.until("document.querySelectorAll('#calls tbody tr').length === 8 && document.querySelector('#chart-tools canvas')")
	b.accessible("the list")
	b.shot("inspector-calls")
	b.do(chromedp.Navigate(d.page+"/tools"), b.visible("main"))
	b.accessible("the tools")
	b.shot("inspector-tools")
	b.do(chromedp.Navigate(d.page+"/health"), b.visible("main"))
	b.accessible("health")
	b.shot("inspector-health")
	b.do(b.click(`form[action="/health/redrive"] button`))
	b.untilText("is delivered once more")
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	if len(d.inbox.driven) != 1 || d.inbox.driven[0] != "7" {
		t.Errorf("delivered again: %v, want the dead event", d.inbox.driven)
	}
}

// A call of 300 turns stays usable: it opens, and what is new comes in.
func TestLongCallIsFollowed(t *testing.T) {
	d := openDesk(t, madeUp)
	call := d.play("long-call", simulate.FaultLate)
	b := open(t, d.page, "/calls/"+call)
	b.until("document.querySelectorAll('.b').length > 300")
	d.post("/tools/find_open_slots?call="+call, `{"date":"2035-07-16"}`)
	b.until("document.querySelectorAll('.toolcard').length > 0")
}

// patience is how long anything may take on a machine that has much to do.
const patience = 5 * time.Minute
