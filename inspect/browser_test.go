package inspect_test

import (
	"context"
	_ "embed"
	"flag"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	cdplog "github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	cdpruntime "github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/internal/testing/testenv"
	"github.com/serverurl/serverurl/simulate"
)

var screenshots = flag.Bool("screenshots", false, "write the pictures of docs/images")

//go:embed testdata/morph.js
var checkMorph string

// An action is done in a browser.
type action = chromedp.Action[chromedp.Void]

// connected holds on a page that has loaded and receives events.
const connected = "document.readyState === 'complete' && (e => !e || e.classList.contains('on'))(document.getElementById('livedot'))"

// A tab is a browser window.
type tab struct {
	t    testing.TB
	ctx  context.Context
	root string
	last error // of what was waited for

	troubled func() bool // whether what open watches for has come
}

// open opens a page in a browser of its own. It fails the test if a request
// leaves the machine, a script throws, or the browser reports a violation of the
// page's policy.
func open(t testing.TB, root, path string, opts ...action) *tab {
	t.Helper()
	program := testenv.Program(t, "chromium", "chromium-browser", "google-chrome", "chromium-headless-shell")
	alloc, stop := chromedp.NewExecAllocator(context.Background(), append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(program), chromedp.NoSandbox, chromedp.DisableGPU, chromedp.WindowSize(1400, 900),
		chromedp.UserDataDir(t.TempDir()), chromedp.Flag("hide-scrollbars", true), chromedp.WSURLReadTimeout(patience))...)
	t.Cleanup(stop)
	ctx, end := chromedp.NewContext(alloc)
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
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

// until waits until a JavaScript condition holds.
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

// value returns the result of an action.
func value[T any](b *tab, a chromedp.Action[T]) T {
	b.t.Helper()
	v, err := chromedp.Run(b.ctx, a)
	if err != nil {
		b.t.Fatal(err)
	}
	return v
}

// click clicks on an element as soon as it is there. Live parts may be replaced
// between finding and clicking, so both are one step. The click itself happens
// after the answer, because it may end the page.
func (b *tab) click(selector string) action {
	return func(context.Context, *chromedp.Target) (chromedp.Void, error) {
		b.until("(e => e && !e.disabled && (setTimeout(() => e.click()), true))(document.querySelector(" + quote(selector) + "))")
		return chromedp.Void{}, nil
	}
}

// fill clears a field and types into it.
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

// key presses keys. A character is pressed without its text: the page handles
// it, so a browser would not type it.
func (b *tab) key(keys ...string) {
	b.t.Helper()
	for _, k := range keys {
		b.until(connected) // before that, keys are not handled
		if k < " " || len(k) > 1 {
			b.do(chromedp.KeyEvent(k))
			continue
		}
		for _, typ := range []input.DispatchKeyEventType{input.DispatchKeyEventTypeRawKeyDown, input.DispatchKeyEventTypeKeyUp} {
			if _, err := chromedp.Call(b.ctx, input.DispatchKeyEvent, input.DispatchKeyEventParams{Type: typ, Key: k}); err != nil {
				b.t.Fatal(err)
			}
		}
	}
}

// shot writes a picture for the documentation if -screenshots is set.
func (b *tab) shot(name string) {
	b.t.Helper()
	if !*screenshots {
		return
	}
	b.until("!document.querySelector('.plot') || innerWidth < 721 || document.querySelector('#chart-calls rect')")
	time.Sleep(1500 * time.Millisecond) // the highlights of new rows have faded
	png := value(b, chromedp.FullScreenshot(100))
	if err := os.WriteFile(filepath.Join("..", "docs", "images", name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// axe reads the checker of accessibility, which npm ci puts there.
var axe = sync.OnceValues(func() ([]byte, error) {
	return os.ReadFile(filepath.Join("testdata", "node_modules", "axe-core", "axe.min.js"))
})

// accessible fails the test if axe finds something: contrast, names, landmarks,
// labels, order of headings.
func (b *tab) accessible(t *testing.T, what string) {
	t.Helper()
	t.Run(what+" is accessible", func(t *testing.T) {
		script, err := axe()
		if err != nil {
			testenv.Missing(t, "inspect/testdata/node_modules (npm ci)")
		}
		value(b, chromedp.Evaluate[any](string(script)+"; null"))
		found := value(b, chromedp.Evaluate[string](`axe.run(document, {runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]}).then(r =>
		r.violations.map(v => v.id + ": " + v.help + "\n" + v.nodes.map(n => "    " + n.html.slice(0, 160) + "\n    " + n.failureSummary).join("\n")).join("\n"))`, chromedp.EvalAwaitPromise))
		if found != "" {
			t.Error(found)
		}
	})
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

// overflow returns how many pixels the page is wider than the window.
func (b *tab) overflow() int {
	b.t.Helper()
	return value(b, chromedp.Evaluate[int]("document.documentElement.scrollWidth - document.documentElement.clientWidth"))
}

func synthetic(o *inspect.Options) { o.Synthetic = true }

func TestCallAppearsAsItHappens(t *testing.T) {
	d := startBackend(t, synthetic)
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
	d := startBackend(t, synthetic)
	d.status("CA1", "ongoing")
	d.status("CA2", "failed")
	d.post("/events", `{"message":{"type":"hang","call":{"id":"CA3","metadata":{"practiceId":"prac_999"}}}}`)
	d.post("/tools/my_appointments?call=CA1", `{"phone":"+14155550142","name":"Sam Rivera"}`)
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
	d.status("CA4", "queued") // a new call is filtered too
	rows("c-CA1,c-CA2,c-CA4")
	b.until("document.querySelector('[data-state=\"failed\"] span').innerText === '1'")
}

// The promise of the demo: the slow tool and the reply that would be ignored are
// found on the call's own page.
func TestSlowToolAndIgnoredReplyAreFound(t *testing.T) {
	d := startBackend(t, synthetic)
	call := d.play("booking")
	d.post("/tools/check_insurance?call="+call, `{"plan":"slow"}`)
	d.post("/tools/find_open_slots?call="+call, `{"date": 2035-07-16}`) // read by nobody, answered anyway
	req, err := http.NewRequestWithContext(t.Context(), http.MethodOptions, d.url+"/tools/my_appointments?call="+call, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	b := open(t, d.page, "/")
	b.until("document.querySelector('#c-" + call + " .marks').innerText.includes('ignored reply')")
	b.until("document.querySelector('#c-" + call + " .marks').innerText.includes('slow tool')")
	b.do(chromedp.Navigate(d.page + "/calls/" + call))
	b.untilText("A reply of my_appointments would be ignored")
	b.untilText("check_insurance was slow")
	b.shot("inspector-call")
	b.accessible(t, "the call")
	b.do(b.click(".issue.error"), b.visible(".finding.error"))
	if text := b.text(); !strings.Contains(text, "This reply would be ignored because its status is 405") || !strings.Contains(text, "Choose GET, POST") {
		t.Errorf("the lint does not say why, or how to fix it:\n%s", text)
	}
	b.shot("inspector-lint")
	b.accessible(t, "a tool request")
}

func TestSendAgainShowsTheDifference(t *testing.T) {
	d := startBackend(t, synthetic)
	d.status("CA1", "ongoing")
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	b := open(t, d.page, "/calls/CA1")
	b.key("e")
	b.until("document.querySelector('.ev[open] pre')")
	b.key("s")
	b.untilText("same reply as before")
	b.until("document.querySelector('.toolcard')")
	d.post("/tools/book_appointment?call=CA1", `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`)
	b.do(b.click(".toolcard"), b.visible(".finding"))
	b.key("s")
	b.untilText("reply differs")
	b.until("document.querySelector('.diff .del').innerText.includes('09:00')")
	b.shot("inspector-again")
}

func TestSideEffectIsTriedOnlyWithConsent(t *testing.T) {
	d := startBackend(t, synthetic)
	b := open(t, d.page, "/tools/book_appointment")
	b.do(b.fill("#arg-date", "2035-07-16"), b.fill("#arg-time", "09:00"), b.fill("#arg-name", "Sam Rivera"), b.fill("#arg-phone", "+14155550142"),
		b.click(".try button"))
	b.untilText("Tick the box")
	b.do(b.click(`.try input[name="confirm"]`), b.click(".try button"))
	b.untilText("Booked: a check-up for Sam Rivera")
	b.untilText("This reply is accepted.")
	b.shot("inspector-try")
	b.accessible(t, "a tool")
}

func TestKeyboardOnly(t *testing.T) {
	d := startBackend(t, synthetic)
	d.status("CA1", "ongoing")
	d.status("CA2", "ongoing")
	b := open(t, d.page, "/")
	b.until("document.querySelectorAll('#calls tbody tr').length === 2")
	b.key("/")
	b.until("document.activeElement.id === 'q'")
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
	b.until("document.activeElement.classList.contains('tab')")
	b.key("?")
	b.until("document.querySelector('#help').open")
	b.accessible(t, "the list of keys")
	b.key(kb.Escape)
	b.until("!document.querySelector('#help').open")
	value(b, chromedp.Evaluate[any]("document.activeElement.blur(); null"))
	b.key(kb.Tab)
	b.until("document.activeElement.matches('a, button, input, select, summary')")
}

func TestDarkAndLight(t *testing.T) {
	d := startBackend(t, synthetic)
	call := d.play("barge-in")
	b := open(t, d.page, "/calls/"+call, dark())
	background := "getComputedStyle(document.body).backgroundColor"
	b.until(background + " === 'rgb(16, 18, 20)'")
	b.accessible(t, "a call in the dark")
	b.shot("inspector-dark")
	b.key("t")
	b.until(background + " === 'rgb(247, 247, 245)'")
	b.do(chromedp.Reload(), b.visible("main"))
	b.until(background + " === 'rgb(247, 247, 245)'") // it is remembered
}

func TestPhone(t *testing.T) {
	d := startBackend(t, synthetic)
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
		b.accessible(t, path+" on a phone")
	}
	b.do(chromedp.Navigate(d.page+"/calls/"+call), b.visible("main"))
	if *screenshots {
		png := value(b, chromedp.CaptureScreenshot())
		if err := os.WriteFile(filepath.Join("..", "docs", "images", "inspector-phone.png"), png, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTextIsShownOnRequest(t *testing.T) {
	d := startBackend(t)
	d.said("CA1", "My number is 4155550142")
	b := open(t, d.page, "/calls/CA1")
	if text := b.text(); strings.Contains(text, "number is") || strings.Contains(text, "4155550142") {
		t.Fatalf("text is shown without a request:\n%s", text)
	}
	b.key("m")
	b.untilText("My number is 4155550142")
	if log := d.audit(); len(log) != 1 || log[0].Action != calls.AuditView || log[0].Call != calls.AuditCallRef("CA1") {
		t.Errorf("audit log %+v; want that CA1 was shown", log)
	}
	b.key("m")
	b.untilText("Show text and numbers")
}

func TestScenarioIsPlayed(t *testing.T) {
	d := startBackend(t, synthetic)
	b := open(t, d.page, "/")
	b.do(b.click("#play summary"), b.visible("#play .drop"), b.click(`#play button[value="booking"]`))
	b.until("document.querySelector('#calls tbody tr .status.s-finished')")
}

func TestListAndHealthAreAccessible(t *testing.T) {
	d := startBackend(t, synthetic)
	for _, s := range []string{"booking", "barge-in", "hang", "model-error", "failed-call", "cancel", "web-call", "transfer"} {
		d.play(s, simulate.FaultDuplicate)
	}
	d.post("/tools/find_open_slots", `{"date":`)
	d.inbox.mu.Lock()
	d.inbox.dead = []core.DeadLetter{{ID: "7", DeadAt: time.Now(), Attempts: 12, Reason: "handler failed",
		Envelopes: []core.Envelope{{ID: "e7", Call: "CA1", Type: event.TypeHang, Received: time.Now(), Body: []byte(`{"message":{"type":"hang","call":{"id":"CA1"}}}`)}}}}
	d.inbox.mu.Unlock()
	b := open(t, d.page, "/")
	b.until("document.querySelectorAll('#calls tbody tr').length === 8 && document.querySelector('#chart-tools circle')")
	b.accessible(t, "the list")
	b.shot("inspector-calls")
	b.do(chromedp.Navigate(d.page+"/tools"), b.visible("main"))
	b.accessible(t, "the tools")
	b.shot("inspector-tools")
	b.do(chromedp.Navigate(d.page+"/health"), b.visible("main"))
	b.accessible(t, "health")
	b.shot("inspector-health")
	b.do(b.click(`form[action="/health/redrive"] button`))
	b.untilText("is delivered again")
	d.inbox.mu.Lock()
	defer d.inbox.mu.Unlock()
	last := d.inbox.delivered[len(d.inbox.delivered)-1]
	if len(d.inbox.dead) > 0 || last.ID != "e7" || last.RedriveCount != 1 {
		t.Errorf("%d dead letters, the last event is %s, redriven %d times; want e7, once", len(d.inbox.dead), last.ID, last.RedriveCount)
	}
	if log := d.audit(); len(log) != 1 || log[0].Action != calls.AuditRedrive || log[0].Call != calls.AuditCallRef("CA1") {
		t.Errorf("audit log %+v, want the redrive", log)
	}
}

// What morph makes is what the server sent, and elements with an id stay the
// same elements.
func TestMorph(t *testing.T) {
	b := open(t, startBackend(t).page, "/")
	for seed := range 4 {
		if wrong := value(b, chromedp.Evaluate[string](fmt.Sprintf("%s(1000, %d)", checkMorph, seed+1))); wrong != "" {
			t.Errorf("seed %d, %s", seed+1, wrong)
		}
	}
}

// What the visitor did to a call's page survives updates:
// opened details and what was loaded into them, the focus, typed text, the
// selection and both scroll positions.
func TestVisitorsStateSurvivesUpdates(t *testing.T) {
	d := startBackend(t, synthetic)
	d.said("CA1", strings.Repeat("a long sentence ", 200))
	d.status("CA1", "ongoing")
	b := open(t, d.page, "/calls/CA1")
	b.key("e")
	b.until("document.querySelector('#event-1[open] pre')")
	b.do(b.fill(`#event-1 input[name="to"]`, "http://typed"))
	value(b, chromedp.Evaluate[any](`(() => {
		const $ = (s) => document.querySelector(s), input = $('#event-1 input[name="to"]');
		input.setSelectionRange(2, 5);
		$('#event-1 pre').style.maxHeight = '60px';
		$('#event-1 pre').scrollTop = 40;
		scrollTo(0, 50);
		window.fresh = [];
		document.addEventListener('animationstart', (e) => fresh.push(e.target.id));
		window.was = {details: $('#event-1'), pre: $('#event-1 pre'), input, bubble: $('.b'), y: scrollY};
	})()`))
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	d.post("/events", `{"message":{"type":"hang","call":{"id":"CA1"}}}`)
	d.said("CA1", "a short one") // the conversation is rewritten
	d.status("CA1", "finished")
	b.until("document.querySelector('.toolcard') && document.querySelector('#warnings') && document.querySelector('#event-4') && document.querySelector('.headline .status').innerText === 'finished'")
	for what, condition := range map[string]string{
		"the details are the same and open":      "was.details === document.querySelector('#event-1') && was.details.open",
		"the loaded body is the same":            "was.pre === document.querySelector('#event-1 pre')",
		"the body is scrolled as it was":         "was.pre.scrollTop === 40",
		"the focus is in the input":              "document.activeElement === was.input",
		"the typed text is there":                "was.input.value === 'http://typed'",
		"the selection is there":                 "was.input.selectionStart === 2 && was.input.selectionEnd === 5",
		"the page is scrolled":                   "scrollY > 0",
		"the message's element was only changed": "was.bubble === document.querySelector('.b') && was.bubble.isConnected",
	} {
		if !value(b, chromedp.Evaluate[bool]("!!("+condition+")")) {
			t.Errorf("not so: %s", what)
		}
	}
	b.until("fresh.some((id) => id.startsWith('t-')) && !fresh.includes(was.bubble.id)") // only what is new is highlighted
	b.do(b.click("#event-1 summary"))
	b.until("!was.details.open")
	d.post("/events", `{"message":{"type":"error","call":{"id":"CA1"},"error":"no voice"}}`)
	b.until("document.querySelector('#event-6')")
	if !value(b, chromedp.Evaluate[bool]("!was.details.open && was.pre.isConnected")) {
		t.Error("closed details are open again, or have lost their body")
	}
}

// New calls appear at the top, and neither the focus nor typed text is lost.
func TestFocusSurvivesUpdates(t *testing.T) {
	d := startBackend(t, synthetic)
	d.status("CA1", "ongoing")
	d.status("CA2", "ongoing")
	b := open(t, d.page, "/")
	b.until("document.querySelectorAll('#calls tbody tr').length === 2")
	b.key("j", "j")
	b.until("document.activeElement.id === 'a-CA1'")
	value(b, chromedp.Evaluate[any]("window.was = document.activeElement; null"))
	d.status("CA3", "ongoing")
	d.status("CA1", "finished")
	b.until("document.querySelectorAll('#calls tbody tr').length === 3 && document.querySelector('#c-CA1 .status').innerText === 'finished'")
	if !value(b, chromedp.Evaluate[bool]("document.activeElement === was && document.querySelector('#calls tbody tr').id === 'c-CA3'")) {
		t.Error("the focus is not on the same link, or the new call is not above")
	}
	b.do(b.fill("#q", "ca"))
	d.status("CA4", "ongoing")
	b.until("document.querySelectorAll('#calls tbody tr').length === 4")
	if !value(b, chromedp.Evaluate[bool]("document.activeElement.id === 'q' && document.activeElement.value === 'ca'")) {
		t.Error("what was typed is gone")
	}
}

// The charts show what happens, in the colors of the theme.
func TestChartsAreLive(t *testing.T) {
	d := startBackend(t, synthetic)
	b := open(t, d.page, "/")
	b.until("document.querySelector('#chart-calls svg').ariaLabel === '0 calls in the last 1 h 00 m, 0 failed'")
	d.status("CA1", "finished")
	d.status("CA2", "failed")
	d.post("/tools/find_open_slots?call=CA1", `{"date":"2035-07-16"}`)
	b.until("document.querySelector('#chart-calls .failed') && document.querySelectorAll('#chart-tools circle').length === 1")
	b.until("document.querySelector('#chart-calls svg').ariaLabel === '2 calls in the last 1 h 00 m, 1 failed'")
	b.until("document.querySelector('#chart-calls title').textContent.match(/^..:..: [12] calls?, [01] failed$/)")
	b.until("document.querySelector('#chart-outcomes').innerText.replace(/\\s+/g, ' ').includes('failed 1 live 1')")
	for _, where := range []string{"#chart-calls rect.failed", "#chart-tools circle", "#chart-tools line.budget", "#chart-outcomes rect.o-4"} {
		if !value(b, chromedp.Evaluate[bool]("(r => r.width > 0 && r.height >= 0)(document.querySelector("+quote(where)+").getBoundingClientRect())")) {
			t.Errorf("%s cannot be seen", where)
		}
	}
	color := "getComputedStyle(document.querySelector('#chart-tools circle')).fill"
	light := value(b, chromedp.Evaluate[string](color))
	b.key("t")
	b.until(color + " !== " + quote(light))
}

// A call of 300 turns can be opened, and is updated.
func TestLongCallIsFollowed(t *testing.T) {
	d := startBackend(t, synthetic)
	call := d.play("long-call", simulate.FaultLate)
	b := open(t, d.page, "/calls/"+call)
	b.until("document.querySelectorAll('.b').length > 300")
	d.post("/tools/find_open_slots?call="+call, `{"date":"2035-07-16"}`)
	b.until("document.querySelectorAll('.toolcard').length > 0")
}

// patience is how long anything may take on a busy machine.
const patience = 5 * time.Minute
