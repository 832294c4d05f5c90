package watch

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestWalls(t *testing.T) {
	platform := "the screen knows no platform"
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/aws/...":        platform,
		importcheck.Module + "/gcp/...":        platform,
		importcheck.Module + "/vercel/...":     platform,
		importcheck.Module + "/cloudflare/...": platform,
		importcheck.Module + "/inspect":        "the terminal does without the page",
		"html/template":                        "the terminal does without the page",
		importcheck.Module + "/server":         "the screen looks at a store, not at a server",
		importcheck.Module + "/app":            "only cmd joins an app to a platform",
		importcheck.Module + "/cmd/...":        "nobody imports cmd",
		importcheck.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                              "test code must not reach a deployed binary",
	})
}
