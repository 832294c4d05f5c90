package vercel

import (
	"testing"

	"github.com/serverurl/serverurl/internal/walls"
)

func TestWalls(t *testing.T) {
	platform := "a platform room imports no other platform"
	walls.Check(t, map[string]string{
		walls.Module + "/aws/...":        platform,
		walls.Module + "/gcp/...":        platform,
		walls.Module + "/cloudflare/...": platform,
		walls.Module + "/server":         platform,
		walls.Module + "/app":            "only cmd joins an app to a platform",
		walls.Module + "/cmd/...":        "nobody imports cmd",
		walls.Module + "/internal/...":   "Vercel's builder renames the module, so that a handler that needs them does not build",
		walls.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                        "test code must not reach a deployed binary",
	})
}
