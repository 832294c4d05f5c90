package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/replylint"
)

// Follow writes a line to w for each of the newest calls and tool requests,
// oldest first, and then for each new or changed one, until ctx ends. The lines
// have nothing in them that people said. o may be nil.
func Follow(ctx context.Context, s records.Store, w io.Writer, o *Options) error {
	tick := time.NewTicker(o.withDefaults().PollInterval)
	defer tick.Stop()
	known := map[string]string{} // versions by id
	for {
		items, err := poll(ctx, s)
		switch {
		case errors.Is(err, context.Canceled):
			return nil
		case err != nil:
			return err
		}
		current := make(map[string]string, len(items))
		for _, i := range slices.Backward(items) {
			if current[i.id] = i.version(); known[i.id] != current[i.id] {
				if _, err := fmt.Fprintln(w, line(i)); err != nil {
					return err
				}
			}
		}
		known = current
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func line(i item) string {
	at := i.at.Local().Format(time.TimeOnly)
	if c := i.call; c != nil {
		more := ""
		if c.Ended {
			more += ", ended"
			if c.EndReason != "" {
				more += " (" + string(c.EndReason) + ")"
			}
		}
		if c.HangCount > 0 {
			more += ", " + plural(c.HangCount, "hang")
		}
		if c.ErrorCount > 0 {
			more += ", " + plural(c.ErrorCount, "error")
		}
		return fmt.Sprintf("%s  call  %s  %s, %s%s", at, printable(string(c.ID)), printable(string(c.Status)), plural(c.MessageCount, "message"), more)
	}
	r := i.tool
	s := fmt.Sprintf("%s  tool  %s  %s in %s", at, toolName(r.Tool), stateWord(r.ToolRequest), duration(r.Latency))
	if i.severity >= replylint.LevelWarning {
		s += ", " + i.severity.String() + ": " + i.rule
	}
	if r.Call != "" {
		s += "  " + printable(string(r.Call))
	}
	return s
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// stateWord returns what became of a tool request.
func stateWord(r calls.ToolRequest) string {
	s := cmp.Or(r.State, "refused")
	if r.Replayed {
		return s + ", duplicate"
	}
	return s
}

func toolName(name string) string { return cmp.Or(printable(name), "(no tool)") }

func duration(d time.Duration) string {
	if d < 10*time.Millisecond {
		return fmt.Sprintf("%.1fms", float64(d)/float64(time.Millisecond))
	}
	return d.Round(time.Millisecond).String()
}

// printable removes control characters, which could move the cursor.
func printable(s string) string { return screen.Text(s) }
