package watch

import (
	"testing"

	"github.com/serverurl/serverurl/internal/walls"
)

func TestWalls(t *testing.T) {
	platform := "the screen knows no platform"
	walls.Check(t, map[string]string{
		walls.Module + "/aws/...":        platform,
		walls.Module + "/gcp/...":        platform,
		walls.Module + "/vercel/...":     platform,
		walls.Module + "/cloudflare/...": platform,
		walls.Module + "/server":         "the screen looks at a store, not at a server",
		walls.Module + "/app":            "only cmd joins an app to a platform",
		walls.Module + "/cmd/...":        "nobody imports cmd",
		walls.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                        "test code must not reach a deployed binary",
	})
}
