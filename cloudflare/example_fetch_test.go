package cloudflare_test

import (
	"context"
	"fmt"

	"github.com/serverurl/serverurl/cloudflare"
	"github.com/serverurl/serverurl/core"
)

// A tool calls another service with Fetch, because net/http cannot work in a
// Worker.
func ExampleFetch() {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Description: "When the practice is open."}, func(ctx context.Context, _ struct{}) (string, error) {
		resp, err := cloudflare.Fetch(ctx, "GET", "https://hours.example.com/today", nil, nil)
		if err != nil || resp.Status != 200 {
			return "", fmt.Errorf("opening hours: status %d: %w", resp.Status, err)
		}
		return string(resp.Body), nil
	})
	cloudflare.Main(p)
}
