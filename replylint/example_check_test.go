package replylint_test

import (
	"fmt"
	"time"

	"github.com/serverurl/serverurl/replylint"
)

// The reply has two problems: the more severe one comes first.
func ExampleCheck() {
	reply := replylint.Reply{
		Status:      200,
		ContentType: "application/json",
		Body:        []byte(`{"result":"09:00\n09:45"}`),
		Latency:     3500 * time.Millisecond,
	}
	for _, f := range replylint.Check(reply) {
		fmt.Printf("%v %s: %s.\n  %s (%s)\n", f.Level, f.Rule, f.Reason, f.Fix, f.Source)
	}
	// Output:
	// error line-break: its result has a line break, and the sender then drops the whole reply.
	//   Put everything on one line: join the lines with a space or a comma. (docs/tools.md#reply)
	// info slow: it used most of its budget, and would exceed it on a slower day.
	//   Find out what the tool waits for: a cache, fewer queries or a smaller answer may help. (docs/tools.md#budget)
}
