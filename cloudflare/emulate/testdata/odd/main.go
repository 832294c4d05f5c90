// Command odd is a Worker that does what no backend should.
package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"time"

	"github.com/serverurl/serverurl/cloudflare"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
)

type none struct{}

type number struct {
	N int `json:"n"`
}

func init() {
	p := core.New()
	runs := p.AppStore("runs")
	core.AddTool(p, core.Tool{Name: "panic", Effect: core.ReadOnly}, func(context.Context, none) (string, error) { panic("a mistake") })
	core.AddTool(p, core.Tool{Name: "exit", Effect: core.ReadOnly}, func(context.Context, none) (string, error) { os.Exit(3); return "", nil })
	core.AddTool(p, core.Tool{Name: "grow", Effect: core.ReadOnly}, func(context.Context, none) (string, error) {
		return fmt.Sprint("grown to ", len(make([]byte, 40<<20))), nil
	})
	core.AddTool(p, core.Tool{Name: "slow", Effect: core.ReadOnly}, func(ctx context.Context, n number) (string, error) {
		select {
		case <-time.After(time.Duration(n.N) * time.Millisecond):
			return "slept", nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	})
	core.AddTool(p, core.Tool{Name: "count", Budget: 20 * time.Second}, func(ctx context.Context, n number) (string, error) {
		name := rand.Text()
		if err := runs.Commit(ctx, records.Record{Key: fmt.Sprintf("%d/%s", n.N, name), Value: []byte{1}}); err != nil {
			return "", err
		}
		return "ran as " + name, nil
	})
	core.AddTool(p, core.Tool{Name: "counted", Effect: core.ReadOnly}, func(ctx context.Context, n number) (string, error) {
		rs, err := runs.Range(ctx, fmt.Sprint(n.N), "", 100)
		return fmt.Sprintf("ran %d times", len(rs)), err
	})
	cloudflare.Main(p)
}

func main() {}
