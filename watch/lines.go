package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/serverurl/serverurl/replylint"
)

const pollPause = 500 * time.Millisecond

// Lines writes a line for each call and tool request that is there, the oldest
// first, and then for each that comes or changes, until ctx ends. It holds no
// text of a call's.
func Lines(ctx context.Context, o Options, w io.Writer) error {
	tick := time.NewTicker(cmp.Or(o.Poll, pollPause))
	defer tick.Stop()
	known := map[string]string{}
	for {
		items, err := look(ctx, o.Store)
		switch {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return err
		}
		here := make(map[string]string, len(items))
		for _, i := range slices.Backward(items) {
			if here[i.ID] = i.version(); known[i.ID] != here[i.ID] {
				if _, err := fmt.Fprintln(w, line(i)); err != nil {
					return err
				}
			}
		}
		known = here
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func line(i Item) string {
	at := i.At.Local().Format(time.TimeOnly)
	if c := i.Call; c != nil {
		more := ""
		if c.Ended {
			more += ", ended"
			if c.EndReason != "" {
				more += " (" + string(c.EndReason) + ")"
			}
		}
		if c.Hangs > 0 {
			more += ", " + count(c.Hangs, "hang")
		}
		if c.Errors > 0 {
			more += ", " + count(c.Errors, "error")
		}
		return fmt.Sprintf("%s  call  %s  %s, %s%s", at, safe(string(c.ID)), safe(string(c.Status)), count(c.Messages, "message"), more)
	}
	r := i.Tool
	s := fmt.Sprintf("%s  tool  %s  %s in %s", at, name(r.Tool), state(i), took(r.Took))
	if i.Worst >= replylint.LevelWarning {
		s += ", " + i.Worst.String() + ": " + i.Rule
	}
	if r.Call != "" {
		s += "  " + safe(string(r.Call))
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func state(i Item) string {
	s := cmp.Or(i.Tool.State, "refused")
	if i.Tool.Replayed {
		return s + ", again"
	}
	return s
}

func name(tool string) string { return cmp.Or(tool, "(no tool)") }

func took(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	}
	return d.Round(time.Millisecond).String()
}

// safe leaves out what would move a terminal's cursor.
func safe(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return -1
		}
		return r
	}, s)
}
