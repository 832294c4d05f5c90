package core_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
)

// mistakeText is what a mistake says: it quotes a patient.
const mistakeText = "canary-Quillfeather-94110"

type quoting struct{ text string }

func (q quoting) Error() string { return q.text }

// mistakes are functions of a backend that fail.
var mistakes = []struct {
	name    string
	fail    func() error
	goType  string
	panics  bool
	silence bool // it is a decision, and no mistake
}{
	{"nil map", func() error { noMap()[mistakeText] = 1; return nil }, "runtime.plainError", true, false},
	{"index", func() error { s, i := []int{1}, len(mistakeText); _ = s[i]; return nil }, "runtime.boundsError", true, false},
	{"nil pointer", func() error { var q *quoting; return errors.New(q.text) }, "runtime.errorString", true, false},
	{"panic with text", func() error { panic(mistakeText) }, "string", true, false},
	{"panic with an error", func() error { panic(quoting{mistakeText}) }, "core_test.quoting", true, false},
	{"panic below the standard library", func() error {
		slices.SortFunc([]int{2, 1}, func(int, int) int { panic(mistakeText) })
		return nil
	}, "string", true, false},
	{"error", func() error { return errors.New(mistakeText) }, "*errors.errorString", false, false},
	{"error of its own type", func() error { return quoting{mistakeText} }, "core_test.quoting", false, false},
	{"wrapped error", func() error { return fmt.Errorf("saving %s: %w", mistakeText, quoting{mistakeText}) }, "core_test.quoting", false, false},
	{"error of a file", func() error { _, err := os.Open("/" + mistakeText); return err }, "*fs.PathError", false, false},
	{"uncertain", func() error { return core.Uncertain(quoting{mistakeText}) }, "core_test.quoting", false, false},
	{"sentence with a cause", func() error { return &core.SayError{Sentence: "Sorry.", Err: quoting{mistakeText}} }, "core_test.quoting", false, false},
	{"sentence", func() error { return core.Say("That time is taken.") }, "", false, true},
}

func noMap() map[string]int { return nil }

// inTool and inHandler make a backend in which a mistake happens.
func inTool(effect core.Effect) func(p *core.Processor, fail func() error) {
	return func(p *core.Processor, fail func() error) {
		core.AddTool(p, core.Tool{Name: "try", Effect: effect}, func(context.Context, struct{}) (string, error) { return "", fail() })
	}
}

func inHandler(p *core.Processor, fail func() error) {
	p.OnHang(func(context.Context, core.Hang) error { return fail() })
}

// Every mistake is seen: the hook has all of it, the log has its type, its place and
// a fingerprint, and nothing that quotes anybody.
func TestFailuresAreSeen(t *testing.T) {
	place := regexp.MustCompile(`^core/failure_test\.go:\d+$`)
	for where, setup := range map[string]func(*core.Processor, func() error){
		"read": inTool(core.ReadOnly), "change": inTool(core.SideEffect), "handler": inHandler,
	} {
		for _, m := range mistakes {
			t.Run(where+", "+m.name, func(t *testing.T) {
				var got []core.Failure
				b := newBackend(t, func(p *core.Processor) {
					setup(p, m.fail)
					p.OnFailure(func(_ context.Context, f core.Failure) { got = append(got, f) })
					p.OnFailure(func(context.Context, core.Failure) { panic("a hook") })
				})
				cause := provoke(t, b, where)
				if m.silence && where != "handler" {
					if len(got) != 0 {
						t.Fatalf("a decision was reported: %+v", got)
					}
					return
				}
				if len(got) != 1 {
					t.Fatalf("%d failures: %+v", len(got), got)
				}
				f := got[0]
				if (f.Panic != nil) != m.panics || (f.Err != nil) == m.panics || m.panics != (len(f.Stack) > 0) {
					t.Errorf("panic %v, error %v, %d bytes of stack", f.Panic, f.Err, len(f.Stack))
				}
				if m.goType != "" && f.Type != m.goType {
					t.Errorf("type %q, want %q", f.Type, m.goType)
				}
				if !place.MatchString(f.Place) || f.CallTag == "" || len(f.Fingerprint) != 12 {
					t.Errorf("place %q, call %q, fingerprint %q", f.Place, f.CallTag, f.Fingerprint)
				}
				log := b.logs.String()
				for _, want := range []string{"place=" + f.Place, "fingerprint=" + f.Fingerprint, "call=" + f.CallTag, "go_type="} {
					if !strings.Contains(log, want) {
						t.Errorf("the log has no %s:\n%s", want, log)
					}
				}
				if strings.Contains(log, mistakeText) || strings.Contains(log, "other") {
					t.Errorf("the log quotes what was said, or hides what was not:\n%s", log)
				}
				if level := "level=ERROR"; strings.Contains(log, level) != m.panics {
					t.Errorf("%s in the log: %t, want %t", level, !m.panics, m.panics)
				}
				if cause != nil && strings.Contains(fmt.Sprint(cause), "panic") != m.panics {
					t.Errorf("the delivery failed with %v", cause)
				}
			})
		}
	}
}

// provoke makes the mistake happen. It returns the error of the delivery.
func provoke(t *testing.T, b *backend, where string) (delivery error) {
	t.Helper()
	if where != "handler" {
		b.call("/tools/try?call="+callID, `{}`)
		return nil
	}
	b.event(hang(1))
	for _, e := range b.inbox.take() {
		if delivery = b.Deliver(t.Context(), e); !errors.Is(delivery, core.ErrHandlerFailed) {
			t.Errorf("the delivery ended with %v", delivery)
		}
	}
	return delivery
}

// The place of a panic is its line; that of an error is where its function begins.
// The same mistake has the same fingerprint, and another place another.
func TestPlaceOfAFailure(t *testing.T) {
	places := map[string]string{}
	for i := range 4 {
		m := mistakes[i%2]
		var f core.Failure
		b := newBackend(t, func(p *core.Processor) {
			inHandler(p, m.fail)
			p.OnFailure(func(_ context.Context, got core.Failure) { f = got })
		})
		_ = provoke(t, b, "handler")
		if name := places[f.Fingerprint]; name != "" && name != m.name || len(places) > 2 {
			t.Errorf("%s and %s: fingerprints %v", m.name, name, places)
		}
		places[f.Fingerprint] = m.name
		text, err := os.ReadFile(strings.TrimPrefix(f.Place[:strings.Index(f.Place, ":")], "core/"))
		if err != nil {
			t.Fatal(err)
		}
		var line int
		if _, err := fmt.Sscanf(f.Place[strings.Index(f.Place, ":"):], ":%d", &line); err != nil {
			t.Fatal(err)
		}
		if got := strings.Split(string(text), "\n")[line-1]; !strings.Contains(got, `{"`+m.name+`"`) {
			t.Errorf("%s: the place %s is %s", m.name, f.Place, got)
		}
	}
}

// Of two handlers of one effect the log names the one that failed.
func TestHandlerThatFailedIsNamed(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		p.OnHang(saves)
		p.OnHang(texts_{}.sends)
		p.OnHang(func(context.Context, core.Hang) error { return nil })
	})
	_ = provoke(t, b, "handler")
	if log := b.logs.String(); !strings.Contains(log, "handler=core_test.texts_.sends") || strings.Contains(log, "core_test.saves") {
		t.Errorf("the log:\n%s", log)
	}
}

func saves(context.Context, core.Hang) error { return nil }

type texts_ struct{}

func (texts_) sends(context.Context, core.Hang) error { return errors.New("no line") }

// A Reconcile that fails is seen as its tool.
func TestReconcileThatFailsIsSeen(t *testing.T) {
	var got []core.Failure
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "try"}, func(context.Context, struct{}) (string, error) { return "", errors.New("lost") }).
			Reconcile(func(context.Context, struct{}) (string, bool, error) { panic("reconcile") })
		p.OnFailure(func(_ context.Context, f core.Failure) { got = append(got, f) })
	})
	b.call("/tools/try?call="+callID, `{}`)
	b.call("/tools/try?call="+callID, `{}`)
	if len(got) != 2 || got[0].Panic != nil || got[1].Panic != "reconcile" || got[1].Name != "try" {
		t.Errorf("failures %+v", got)
	}
}
