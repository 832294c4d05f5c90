// Package backend is the backend under test of command chaos. The effects of its
// tools are outside the store, in a file, so that the checker detects effects that
// the records of the store do not show. It is for tests only.
package backend

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core"
)

// EffectsFile is the environment variable with the path of the file of effects. It
// has one effect per line: tool, idempotency key, fencing token, reference.
const EffectsFile = "SERVERURL_CHAOS_EFFECTS"

// An Order is the argument of the tools.
type Order struct {
	Item   string `json:"item" jsonschema:"identifies the order"`
	Before int    `json:"before,omitempty" jsonschema:"milliseconds of work before the effect"`
	After  int    `json:"after,omitempty" jsonschema:"milliseconds of work after the effect"`
}

// New returns the backend. Its file of effects stands for an external system that
// accepts every effect, also a second one for the same key.
func New() *core.Processor {
	p := core.New()
	e := effects{path: os.Getenv(EffectsFile)}
	core.AddTool(p, core.Tool{Name: "look", Description: "Reads.", Effect: core.ReadOnly}, func(_ context.Context, in Order) (string, error) {
		wait(in.Before)
		return "Seen " + in.Item + ".", nil
	})
	book := core.AddTool(p, core.Tool{Name: "book", Description: "Changes something, at most once.", IdempotencyArgs: []string{"item"}}, e.book)
	book.Reconcile(e.find)
	core.AddTool(p, core.Tool{Name: "put", Description: "Changes something, and may do so again.", IdempotencyArgs: []string{"item"}, Effect: core.Idempotent}, e.book)
	core.AddTool(p, core.Tool{Name: "reserve", Description: "Takes something.", Undoes: []string{"free"}}, e.take("reserve", "Reserved."))
	core.AddTool(p, core.Tool{Name: "free", Description: "Gives it back.", Undoes: []string{"reserve"}}, e.take("free", "Freed."))
	p.OnStatus(func(_ context.Context, s core.StatusUpdate) error { return nil })
	p.OnMessages(func(context.Context, core.Messages) error { return nil })
	p.OnReport(func(context.Context, core.Report) error { return nil })
	p.OnCallEnded(func(_ context.Context, c core.CallEnded) error { return e.write("ended", string(c.Call.ID), 0, "-") })
	return p
}

type effects struct{ path string }

func (e effects) book(ctx context.Context, in Order) (string, error) {
	inv, _ := core.InvocationFromContext(ctx)
	wait(in.Before)
	ref := rand.Text()[:12]
	if err := e.write(inv.Tool, inv.IdempotencyKey, inv.FencingToken, ref); err != nil {
		return "", err
	}
	wait(in.After)
	return "Booked as " + ref + ".", nil
}

// take returns a tool whose effect names the thing, so that [Last] finds it.
func (e effects) take(what, said string) core.ToolFunc[Order, string] {
	return func(ctx context.Context, in Order) (string, error) {
		inv, _ := core.InvocationFromContext(ctx)
		return said, e.write(what, inv.IdempotencyKey, inv.FencingToken, in.Item)
	}
}

// Last returns what was done last with a thing: reserve, free, or nothing.
func Last(path, item string) (what string, err error) {
	es, err := Read(path)
	for _, e := range es {
		if e.Ref == item && (e.What == "reserve" || e.What == "free") {
			what = e.What
		}
	}
	return what, err
}

// find looks a booking up in the external system.
func (e effects) find(ctx context.Context, _ Order) (string, bool, error) {
	inv, _ := core.InvocationFromContext(ctx)
	done, err := Read(e.path)
	if err != nil {
		return "", false, err
	}
	for _, d := range done {
		if d.Key == inv.IdempotencyKey {
			return "Booked as " + d.Ref + ".", true, nil
		}
	}
	return "", false, nil
}

// wait ignores the context, as a call to an external system may.
func wait(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }

// write appends a line with one system call, so that it survives a crash of this
// process and is not interleaved with the lines of others.
func (e effects) write(what, key string, fence int64, ref string) error {
	f, err := os.OpenFile(e.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = fmt.Fprintf(f, "%s %s %d %s\n", what, key, fence, ref)
	return err
}

// An Effect is a line of the file.
type Effect struct{ What, Key, Fence, Ref string }

// Read returns the effects in the file, in order.
func Read(path string) ([]Effect, error) {
	b, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	var es []Effect
	for lines := bufio.NewScanner(bytes.NewReader(b)); lines.Scan(); {
		if f := strings.Fields(lines.Text()); len(f) == 4 {
			es = append(es, Effect{f[0], f[1], f[2], f[3]})
		}
	}
	return es, err
}
