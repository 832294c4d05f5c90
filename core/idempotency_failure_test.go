package core_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
)

// T7, T9, T10 and the states after an error: what a duplicate gets.
func TestDuplicateAfterError(t *testing.T) {
	boom := errors.New("calendar: secret text")
	for _, c := range []struct {
		name   string
		effect core.Effect
		first  func(ctx context.Context) (string, error)
		recon  func(ctx context.Context, in booking) (string, bool, error)
		said   string // the first time
		again  string // the second time
		runs   int64
	}{
		{"an error leaves it open", core.SideEffect, func(context.Context) (string, error) { return "", boom }, nil, "not certain", "not certain", 1},
		{"an error of the deadline leaves it open", core.SideEffect, func(context.Context) (string, error) { return "", fmt.Errorf("calendar: %w", context.DeadlineExceeded) }, nil, "not certain", "not certain", 1},
		{"a refusal may be gone", core.SideEffect, func(context.Context) (string, error) { return "", core.Say("That day is full.") }, nil, "That day is full.", "Booked.", 2},
		{"a refusal that is wrapped may be gone", core.SideEffect, func(context.Context) (string, error) {
			return "", fmt.Errorf("book: %w", core.Say("That day is full."))
		}, nil, "That day is full.", "Booked.", 2},
		{"a sentence that leaves it open", core.SideEffect, func(context.Context) (string, error) { return "", core.Uncertain(core.Say("The calendar hung up.")) }, nil, "The calendar hung up.", "The calendar hung up.", 1},
		{"an error of a retry-safe tool is gone", core.Idempotent, func(context.Context) (string, error) { return "", boom }, nil, "no harm to ask", "Booked.", 2},
		{"a refusal of a retry-safe tool is gone", core.Idempotent, func(context.Context) (string, error) { return "", core.Say("That day is full.") }, nil, "That day is full.", "Booked.", 2},
		{"an error of a read is gone", core.ReadOnly, func(context.Context) (string, error) { return "", boom }, nil, "did not work", "Booked.", 2},
		{"nothing applied may run again", core.SideEffect, func(context.Context) (string, error) { return "", core.NotApplied(core.Say("Taken.")) }, nil, "Taken.", "Booked.", 2},
		{"a panic is not repeated", core.SideEffect, func(context.Context) (string, error) { panic("secret text") }, nil, "not certain", "not certain", 1},
		{"a panic of a retry-safe tool is", core.Idempotent, func(context.Context) (string, error) { panic("secret text") }, nil, "not certain", "Booked.", 2},
		{"a panic is reconciled: it was done", core.SideEffect, func(context.Context) (string, error) { panic("secret text") },
			func(context.Context, booking) (string, bool, error) { return "Found it.", true, nil }, "not certain", "Found it.", 1},
		{"a panic is reconciled: it was not done", core.SideEffect, func(context.Context) (string, error) { panic("secret text") },
			func(context.Context, booking) (string, bool, error) { return "", false, nil }, "not certain", "Booked.", 2},
		{"a panic cannot be reconciled now", core.SideEffect, func(context.Context) (string, error) { panic("secret text") },
			func(context.Context, booking) (string, bool, error) { return "", false, boom }, "not certain", "not certain", 1},
		{"an error is reconciled", core.SideEffect, func(context.Context) (string, error) { return "", boom },
			func(context.Context, booking) (string, bool, error) { return "Found it.", true, nil }, "not certain", "Found it.", 1},
		{"a sentence that leaves it open is reconciled", core.SideEffect, func(context.Context) (string, error) { return "", core.Uncertain(core.Say("The calendar hung up.")) },
			func(context.Context, booking) (string, bool, error) { return "", false, nil }, "hung up", "Booked.", 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			var runs atomic.Int64
			b := newBackend(t, func(p *core.Processor) {
				tool := core.AddTool(p, core.Tool{Name: "book", Effect: c.effect}, func(ctx context.Context, in booking) (string, error) {
					if runs.Add(1) == 1 {
						return c.first(ctx)
					}
					return "Booked.", nil
				})
				if c.recon != nil {
					tool.Reconcile(c.recon)
				}
			})
			if got := b.call("/tools/book", bookNine); !strings.Contains(got, c.said) {
				t.Errorf("first said %q, want %q", got, c.said)
			}
			if got := b.call("/tools/book", bookNine); !strings.Contains(got, c.again) {
				t.Errorf("then said %q, want %q", got, c.again)
			}
			if runs.Load() != c.runs {
				t.Errorf("ran %d times, want %d", runs.Load(), c.runs)
			}
			if strings.Contains(b.logs.String(), "secret text") {
				t.Errorf("the log holds what a panic or an error said:\n%s", b.logs)
			}
		})
	}
}

// T9, T12, T13: the owner of a run is dead, or returns after it was considered
// dead. Only the store's own clock decides.
func TestDeadOwner(t *testing.T) {
	for _, effect := range []core.Effect{core.SideEffect, core.Idempotent} {
		t.Run(fmt.Sprint(effect), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var runs atomic.Int64
				wake := make(chan struct{})
				b := newBackend(t, counted(core.Tool{Effect: effect}, &runs, func(context.Context) (string, error) {
					if runs.Load() == 1 {
						<-wake // stopped, and deaf to its context
						return "Zombie.", nil
					}
					return "Second.", nil
				}))
				b.call("/tools/book", bookNine)
				time.Sleep(40 * time.Second) // 44s: its lease of 54s is not over
				if got := b.call("/tools/book", bookNine); !strings.Contains(got, "still being worked on") {
					t.Errorf("within the lease: said %q", got)
				}
				time.Sleep(15 * time.Second)
				want, wantRuns := "not certain", int64(1)
				if effect == core.Idempotent {
					want, wantRuns = "Second.", 2
				}
				if got := b.call("/tools/book", bookNine); !strings.Contains(got, want) || runs.Load() != wantRuns {
					t.Errorf("after the lease: said %q after %d runs", got, runs.Load())
				}
				close(wake)
				if err := b.Drain(t.Context()); err != nil {
					t.Fatal(err)
				}
				want = "Zombie." // nobody ran it again, so what it says is the truth
				if effect == core.Idempotent {
					want = "Second."
				}
				if got := b.call("/tools/book", bookNine); got != want || runs.Load() != wantRuns {
					t.Errorf("after the zombie woke: said %q after %d runs, want %q", got, runs.Load(), want)
				}
			})
		})
	}
}

// T14 to T17: the store fails at each step.
func TestStoreFailures(t *testing.T) {
	down := errors.New("store: secret text")
	t.Run("down at the claim", func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{}, &runs, nil))
		b.store.Fail = func(string, []string) error { return down }
		if got := b.call("/tools/book", bookNine); !strings.Contains(got, "nothing was changed") || runs.Load() != 0 {
			t.Errorf("said %q after %d runs", got, runs.Load())
		}
	})
	t.Run("down, and the tool only looks", func(t *testing.T) {
		var runs atomic.Int64
		b := newBackend(t, counted(core.Tool{Effect: core.ReadOnly}, &runs, nil))
		b.store.Fail = func(string, []string) error { return down }
		if got := b.call("/tools/book", bookNine); got != "Booked number 1." {
			t.Errorf("said %q", got)
		}
	})
	t.Run("slow at the claim", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var runs atomic.Int64
			b := newBackend(t, counted(core.Tool{}, &runs, nil))
			b.store.Fail = func(string, []string) error { time.Sleep(8 * time.Second); return down }
			start := time.Now()
			b.Handle(t.Context(), request("POST", "/tools/book", bookNine))
			if runs.Load() != 0 {
				t.Errorf("ran %d times", runs.Load())
			}
			_ = start
		})
	})
	t.Run("the claim's answer is lost", func(t *testing.T) {
		var runs atomic.Int64
		var lost atomic.Bool
		b := newBackend(t, counted(core.Tool{}, &runs, nil))
		b.store.FailAfter = func(op string, _ []string) error {
			if op == "Commit" && lost.CompareAndSwap(false, true) {
				return down
			}
			return nil
		}
		if got := b.call("/tools/book", bookNine); got != "Booked number 1." || runs.Load() != 1 {
			t.Errorf("said %q after %d runs", got, runs.Load())
		}
	})
	t.Run("down when the result is stored", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			var runs atomic.Int64
			var broken atomic.Bool
			b := newBackend(t, counted(core.Tool{}, &runs, func(context.Context) (string, error) {
				broken.Store(true)
				return "Booked.", nil
			}))
			b.store.Fail = func(string, []string) error {
				if broken.Load() {
					return down
				}
				return nil
			}
			start := time.Now()
			if got := b.call("/tools/book", bookNine); got != "Booked." || time.Since(start) > 4*time.Second {
				t.Errorf("said %q after %v; want the truth, in time", got, time.Since(start))
			}
			broken.Store(false)
			if err := b.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := b.call("/tools/book", bookNine); got != "Booked." || runs.Load() != 1 {
				t.Errorf("then said %q after %d runs", got, runs.Load())
			}
		})
	})
}
