package cloudflare_test

import (
	"context"
	"fmt"

	"github.com/serverurl/serverurl/cloudflare"
	"github.com/serverurl/serverurl/core"
)

// A tool calls another system with core.HTTP, because net/http cannot work in a
// Worker.
func ExampleMain() {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Description: "When the practice is open.", Effect: core.ReadOnly}, func(ctx context.Context, _ struct{}) (string, error) {
		resp, err := core.HTTP(ctx).Do(core.HTTPRequest{URL: "https://hours.example.com/today"})
		if err != nil || resp.Status != 200 {
			return "", fmt.Errorf("opening hours: status %d: %w", resp.Status, err)
		}
		return string(resp.Body), nil
	})
	cloudflare.Main(p)
}
