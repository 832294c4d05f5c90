// Command hello is the smallest backend: one tool, one handler, the plain server.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/server"
)

// Question has the arguments of the tool.
type Question struct {
	Day string `json:"day" jsonschema:"a day of the week"`
}

func hours(ctx context.Context, q Question) (string, error) {
	return fmt.Sprintf("On %s we are open from nine to five.", q.Day), nil
}

func main() {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Description: "When we are open.", Effect: core.ReadOnly}, hours)
	p.OnCallEnded(func(ctx context.Context, e core.CallEnded) error {
		fmt.Println("a call of", e.Call.MessageCount, "messages is over")
		return nil
	})
	os.Exit(server.Main(p))
}
