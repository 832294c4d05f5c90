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
	"testing/synctest"
	"time"

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
	defer func() { _ = b.Drain(t.Context()) }() // of hooks
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
	_ = provoke(t, b, "tool")
	_ = provoke(t, b, "tool")
	if len(got) != 2 || got[0].Panic != nil || got[1].Panic != "reconcile" || got[1].Name != "try" {
		t.Errorf("failures %+v", got)
	}
}

// A hook that panics is logged with its place, and does not keep others from being
// called.
func TestHookThatPanicsIsSeen(t *testing.T) {
	var got []core.Failure
	b := newBackend(t, func(p *core.Processor) {
		inHandler(p, func() error { return errors.New(mistakeText) })
		p.OnFailure(func(context.Context, core.Failure) { noMap()[mistakeText] = 1 })
		p.OnFailure(func(_ context.Context, f core.Failure) { got = append(got, f) })
	})
	_ = provoke(t, b, "handler")
	if len(got) != 1 || got[0].Effect != "hang" {
		t.Errorf("failures %+v", got)
	}
	if log := b.logs.String(); !strings.Contains(log, `level=ERROR msg="handler panicked"`) || !strings.Contains(log, "effect=failure") || strings.Contains(log, mistakeText) {
		t.Errorf("the log:\n%s", log)
	}
}

// A hook that takes its time takes none of the caller's: the answer is that of the
// tool, and not that it is still being worked on.
func TestSlowHookDelaysNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := 0
		b := newBackend(t, func(p *core.Processor) {
			inTool(core.ReadOnly)(p, func() error { return errors.New("down") })
			p.OnFailure(func(ctx context.Context, _ core.Failure) { <-ctx.Done(); called++ })
		})
		began := time.Now()
		if said := b.call("/tools/try", `{}`); !strings.HasPrefix(said, "Sorry, that did not work") || time.Since(began) > 200*time.Millisecond {
			t.Errorf("after %v: %q", time.Since(began), said)
		}
		if err := b.Drain(t.Context()); err != nil || called != 1 || time.Since(began) > 11*time.Second {
			t.Errorf("drained after %v: %v, called %d", time.Since(began), err, called)
		}
	})
}

// A function that is nil is found when it is added, and not when it is called.
func TestNilFunctions(t *testing.T) {
	for name, add := range map[string]func(p *core.Processor){
		"OnEvent":       func(p *core.Processor) { p.OnEvent(nil) },
		"OnStatus":      func(p *core.Processor) { p.OnStatus(nil) },
		"OnMessages":    func(p *core.Processor) { p.OnMessages(nil) },
		"OnHang":        func(p *core.Processor) { p.OnHang(nil) },
		"OnError":       func(p *core.Processor) { p.OnError(nil) },
		"OnReport":      func(p *core.Processor) { p.OnReport(nil) },
		"OnCallEnded":   func(p *core.Processor) { p.OnCallEnded(nil) },
		"OnFailure":     func(p *core.Processor) { p.OnFailure(nil) },
		"OnStart":       func(p *core.Processor) { p.OnStart(nil) },
		"Observe":       func(p *core.Processor) { p.Observe(nil) },
		"SpeakLanguage": func(p *core.Processor) { p.SpeakLanguage(nil) },
		"ForTenants":    func(*core.Processor) { core.ForTenants() },
		"AddTool":       func(p *core.Processor) { core.AddTool[struct{}, string](p, core.Tool{Name: "x"}, nil) },
		"Reconcile": func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "x"}, func(context.Context, struct{}) (string, error) { return "", nil }).Reconcile(nil)
		},
	} {
		func() {
			defer func() {
				if v, _ := recover().(string); !strings.HasPrefix(v, "core: ") {
					t.Errorf("%s(nil): %v", name, v)
				}
			}()
			add(core.New())
		}()
	}
}

// A read that refuses in its own words is a decision in the log, and of another
// tenant's tool the log says that.
func TestStatesOfRefusals(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		inTool(core.ReadOnly)(p, func() error { return core.Say("Which day?") })
		core.AddTool(p, core.Tool{Name: "fax", Tenants: []string{"north"}}, func(context.Context, struct{}) (string, error) { return "", nil })
	}, forTwo)
	for _, target := range []string{"/tools/try", "/tools/fax", "/tools/other"} {
		b.Handle(t.Context(), as(southSecret, "POST", target, `{}`))
	}
	for _, want := range []string{
		`tool=try tenant=south state=declined`, `tool=fax tenant=south state=refused reason="of another tenant"`, `tool=unknown tenant=south state=refused reason="no such tool"`,
	} {
		if !strings.Contains(b.logs.String(), want) {
			t.Errorf("the log has no %s:\n%s", want, b.logs.String())
		}
	}
}
