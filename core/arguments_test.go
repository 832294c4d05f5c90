package core_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"pgregory.net/rapid"
)

// Two accounts that differ by one are two requests, and each tool run is given the
// number that was sent: in a body, a string, a query, a list and a nested object.
func TestWholeNumbersAreExact(t *testing.T) {
	type account struct {
		ID  int64   `json:"id,omitzero"`
		IDs []int64 `json:"ids,omitempty"`
		In  *struct {
			ID int64 `json:"id"`
		} `json:"in"`
	}
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "bill"}, func(_ context.Context, in account) (string, error) {
			for _, id := range in.IDs {
				in.ID = id
			}
			if in.In != nil {
				in.ID = in.In.ID
			}
			return fmt.Sprint(in.ID), nil
		})
	})
	number := rapid.OneOf(rapid.Int64(), rapid.Int64Range(1<<53-2, 1<<53+2))
	calls := 0
	rapid.Check(t, func(t *rapid.T) {
		n := number.Draw(t, "n")
		for _, form := range []string{`{"id":%d}`, `{"id":"%d"}`, `"{\"id\":%d}"`, `{"ids":[%d]}`, `{"in":{"id":%d}}`, `{"in":"{\"id\":\"%d\"}"}`, "id=%d", "ids=%d"} {
			calls++
			for _, near := range []int64{n, n ^ 1} { // in one call
				query, body := fmt.Sprintf("?call=CA%d&", calls), fmt.Sprintf(form, near)
				if strings.HasPrefix(form, "i") {
					query, body = query+body, ""
				}
				if got := rapidSaid(t, b.Handle(context.Background(), request("POST", "/tools/bill"+query, body))); got != fmt.Sprint(near) {
					t.Fatalf("%s of %d: the tool was given %s", form, near, got)
				}
			}
		}
	})
}

// One odd parameter spoils neither the others nor the call's id.
func TestOddQueries(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "echo"}, func(ctx context.Context, in booking) (string, error) {
			inv, _ := core.InvocationFromContext(ctx)
			return string(inv.Call) + " " + in.Date + " " + in.Note, nil
		})
	})
	for query, want := range map[string]string{
		"call=CA1&date=d1&time=t&note=50%":           "CA1 d1 50%",
		"note=a;b&call=CA1&date=d2&time=t":           "CA1 d2 a;b",
		"note=%zz&call=CA1&date=d3&time=t":           "CA1 d3 %zz",
		"%=%&%zz&;&call=CA1&date=d4&time=t&note=x":   "CA1 d4 x",
		"note=J%FCrgen&call=CA1&date=d5&time=t":      "CA1 d5 J\uFFFDrgen",
		"date=d6&date=d7&time=t&call=CA1&call=CA2":   "CA1 d6",
		"time=t&call=CA1&date=d8&note=%C3%BC+%2B%26": "CA1 d8 ü +&",
	} {
		if got := b.call("/tools/echo?"+query, ""); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

// A time without a zone is in the tool's, and arrives in it.
func TestToolLocation(t *testing.T) {
	zone := time.FixedZone("PST", -8*3600)
	b := newBackend(t, func(p *core.Processor) {
		look := func(_ context.Context, in struct {
			At     time.Time     `json:"at"`
			Length time.Duration `json:"length,omitzero"`
		}) (string, error) {
			return in.At.Format("2006-01-02 15:04 -0700 ") + in.Length.String(), nil
		}
		core.AddTool(p, core.Tool{Name: "here", Effect: core.ReadOnly, Location: zone}, look)
		core.AddTool(p, core.Tool{Name: "utc", Effect: core.ReadOnly}, look)
	})
	for _, c := range []struct{ path, body, want string }{
		{"here", `{"at":"2035-07-16T09:00:00","length":"PT30M"}`, "2035-07-16 09:00 -0800 30m0s"},
		{"here", `{"at":"2035-07-16","length":1800}`, "2035-07-16 00:00 -0800 30m0s"},
		{"here", `{"at":"2035-07-16T09:00:00Z","length":"30m"}`, "2035-07-16 01:00 -0800 30m0s"},
		{"utc", `{"at":"2035-07-16T09:00"}`, "2035-07-16 09:00 +0000 0s"},
		{"utc", `{"at":"next Monday"}`, `The argument "at" must be a date and a time such as 2035-07-16T09:00:00.`},
	} {
		if got := b.call("/tools/"+c.path, c.body); got != c.want {
			t.Errorf("%s %s: %q, want %q", c.path, c.body, got, c.want)
		}
	}
}

// The operator can see that a tool is called in the form of another platform.
func TestWrappedArgumentsAreLogged(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, booking) (string, error) { return "Booked.", nil })
	})
	got := b.call("/tools/book", `{"name":"book","args":`+bookNine+`,"call":{"call_id":"1"}}`)
	if !strings.Contains(got, "nothing was done") || !strings.Contains(b.logs.String(), "arguments are inside another object") {
		t.Errorf("said %q, log:\n%s", got, b.logs)
	}
	if got := b.call("/tools/book", `{"args":{"x":1},"date":"2035-07-16","time":"09:00"}`); got != "Booked." {
		t.Errorf("with arguments of its own: said %q", got)
	}
}
