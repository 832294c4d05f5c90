package core_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
)

// canaries are one invented value for each class of identifier in the HIPAA Safe
// Harbor list.
var canaries = map[string]string{
	"name": "Samantha Canaryvera", "geography": "77 Canary Row", "date": "1957-03-09T04:05:06Z", "phone": "+14155550177", "fax": "+14155550178",
	"email": "canary@patients.test", "social security": "078-05-1120", "medical record": "MRN-CANARY-1", "health plan": "PLAN-CANARY-2",
	"account": "ACCT-CANARY-3", "license": "LIC-CANARY-4", "vehicle": "CANARY-PLATE-5", "device": "DEVICE-CANARY-6", "url": "https://canary.patients.test/x",
	"ip": "203.0.113.177", "voice": "voiceprint-canary-8", "photo": "photo-canary-9.jpg", "other": "loyalty-canary-10",
	"spoken number": "four one five canary",
}

var secretCanaries = map[string]string{
	"our secret": testSecret, "server secret": "canary-server-secret-0001", "header": "Bearer canary-header-0002", "control": "https://control.canary.test/abc",
}

// found returns the names of the canaries in text.
func found(text string, of map[string]string) []string {
	var all []string
	for name, v := range of {
		if strings.Contains(text, v) || strings.Contains(text, strings.ReplaceAll(v, "/", `\/`)) {
			all = append(all, name)
		}
	}
	slices.Sort(all)
	return all
}

func everything() string {
	var b strings.Builder
	for name, v := range canaries {
		fmt.Fprintf(&b, "%s: %s. ", name, v)
	}
	return b.String()
}

// play sends all canaries through everything that a backend does, successes and
// failures, and returns the responses to unauthenticated clients.
func play(t *testing.T, b *backend) (replies string) {
	text := everything()
	id := `"id":` + fmt.Sprintf("%q", callID)
	send := func(r core.Request) {
		resp := b.Handle(t.Context(), r)
		if resp.Status != 200 {
			replies += string(resp.Body)
		}
	}
	body := `{"message":{"type":%q,"timestamp":1784044931000,"call":{` + id + `,"status":"ongoing","customer":{"name":%q,"number":%q},"controlUrl":%q,"metadata":{"mrn":%q}},` +
		`"assistant":{"name":"Front desk","server":{"secret":%q,"headers":{"authorization":%q}}},"messages":[{"messageId":"1","role":"user","text":%q}],"error":%q}}`
	for _, typ := range []string{"status-update", "conversation-update", "hang", "error", "end-of-call-report", text} {
		send(request("POST", "/events", fmt.Sprintf(body, typ, canaries["name"], canaries["phone"], secretCanaries["control"], text,
			secretCanaries["server secret"], secretCanaries["header"], text+" "+testSecret, text)))
	}
	for _, bad := range []string{text, `{"message":` + text, `{"message":{"type":"hang","call":{"id":"` + text + strings.Repeat("x", 300) + `"}}}`,
		`{"a":"` + text + `","a":"` + text + `"}`, "\xff" + text, strings.Repeat("[", 100) + text} {
		send(request("POST", "/events", bad))
		send(request("POST", "/tools/book?call="+callID, bad))
	}
	for _, tool := range []string{"book", "fails", "panics", "says", text} {
		for _, args := range []string{fmt.Sprintf(`{"patient":%q}`, text), fmt.Sprintf(`{"patient":%q,"extra":1}`, text), `{"patient":7}`, fmt.Sprintf(`%q`, text)} {
			send(request("POST", "/tools/"+strings.ReplaceAll(tool, " ", "%20")+"?call="+callID, args))
		}
	}
	stranger := request("POST", "/events", text)
	stranger.Header = auth.Header{"X-Interactly-Secret": {text}, "X-Call-Id": {text}, "Content-Type": {text}}
	stranger.Query = text
	send(stranger)
	strange := request("POST", "/"+text, text)
	send(strange)
	gzip := request("POST", "/events", text)
	gzip.Header["content-encoding"] = []string{text}
	send(gzip)

	for _, e := range b.inbox.take() {
		_ = b.Deliver(t.Context(), e) // some fail, on purpose
		_ = b.Deliver(t.Context(), e)
		e.Body = []byte(text)
		_ = b.Deliver(t.Context(), e)
	}
	b.store.Fail = func(string, []string) error { return errors.New("the store says: " + text) }
	for _, typ := range []string{"status-update", "hang"} {
		send(request("POST", "/events", fmt.Sprintf(body, typ, "", "", "", "", "", "", text, text)))
	}
	b.call("/tools/book?call="+callID, fmt.Sprintf(`{"patient":%q,"n":"2"}`, text))
	for _, e := range b.inbox.take() {
		_ = b.Deliver(t.Context(), e)
	}
	b.inbox.fail = errors.New("the inbox says: " + text)
	send(request("POST", "/events", fmt.Sprintf(body, "hang", "", "", "", "", "", "", text, text)))
	_ = b.Sweep(t.Context())
	b.store.Fail, b.inbox.fail = nil, nil
	_ = b.Sweep(t.Context())
	return replies
}

func careless(p *core.Processor) {
	type patient struct {
		Patient string `json:"patient"`
		N       string `json:"n,omitempty"`
	}
	core.AddTool(p, core.Tool{Name: "book"}, func(_ context.Context, in patient) (string, error) { return "Booked.", nil })
	core.AddTool(p, core.Tool{Name: "fails"}, func(_ context.Context, in patient) (string, error) { return "", errors.New("cannot: " + in.Patient) })
	core.AddTool(p, core.Tool{Name: "panics"}, func(_ context.Context, in patient) (string, error) { panic(in.Patient) })
	core.AddTool(p, core.Tool{Name: "says"}, func(_ context.Context, in patient) (string, error) {
		return "", core.NotApplied(errors.New(in.Patient))
	})
	p.OnHang(func(context.Context, core.Hang) error { return errors.New(everything()) })
	p.OnError(func(context.Context, core.ErrorEvent) error { panic(everything()) })
	p.OnStatus(func(context.Context, core.StatusUpdate) error { return fmt.Errorf("of %w", errors.New(everything())) })
}

// Nothing about a person and no secret leaks: into the log at any level, to
// unauthenticated clients, or, for secrets, into the store.
func TestCanaries(t *testing.T) {
	debug := &lockedBuffer{}
	b := newBackend(t, careless, func(on *core.Platform) {
		on.Logger = slog.New(slog.NewJSONHandler(debug, &slog.HandlerOptions{Level: slog.LevelDebug - 10, AddSource: true}))
	})
	replies := play(t, b)
	if debug.String() == "" || replies == "" {
		t.Fatal("nothing was logged, or nothing refused: this test looks at nothing")
	}
	for sink, text := range map[string]string{"the log": debug.String(), "a refusal": replies} {
		for _, kind := range []map[string]string{canaries, secretCanaries} {
			if leaks := found(text, kind); len(leaks) > 0 {
				t.Errorf("%s holds: %v", sink, leaks)
			}
		}
	}
	kept := ""
	for _, r := range b.store.All() {
		kept += r.Key + " " + string(r.Value) + "\n"
	}
	quarantined, err := calls.ListQuarantine(t.Context(), b.store, "", 100)
	if err != nil || len(quarantined) == 0 {
		t.Fatalf("%d bodies in quarantine, %v", len(quarantined), err)
	}
	for _, q := range quarantined {
		kept += q.Reason + " " + string(q.Body) + "\n"
	}
	if leaks := found(kept, secretCanaries); len(leaks) > 0 {
		t.Errorf("the store holds: %v", leaks)
	}
	// The search works: texts are stored, and found there.
	if here := found(kept, canaries); len(here) != len(canaries) {
		t.Errorf("of the canaries only %v are in the store", here)
	}
}

// Without the log's allowlist and without redaction every canary is found: the
// test above can fail.
func TestCanariesAreFound(t *testing.T) {
	var log strings.Builder
	plain := slog.New(slog.NewTextHandler(&log, nil))
	plain.Error("delivery failed", "reason", fmt.Errorf("of %w", errors.New(everything()+testSecret+secretCanaries["server secret"]+secretCanaries["header"]+secretCanaries["control"])))
	if n := len(found(log.String(), canaries)); n != len(canaries) {
		t.Errorf("%d of %d canaries are noticed", n, len(canaries))
	}
	if n := len(found(log.String(), secretCanaries)); n != len(secretCanaries) {
		t.Errorf("%d of %d secrets are noticed", n, len(secretCanaries))
	}
}
