package watch

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	platform := "it works with every platform"
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/aws/...":        platform,
		importcheck.Module + "/gcp/...":        platform,
		importcheck.Module + "/vercel/...":     platform,
		importcheck.Module + "/cloudflare/...": platform,
		importcheck.Module + "/inspect":        "the terminal does not need the page",
		"html/template":                        "the terminal does not need the page",
		importcheck.Module + "/server":         "it reads a store, not a server",
		importcheck.Module + "/app":            "only cmd connects an app to a platform",
		importcheck.Module + "/cmd/...":        "cmd is not imported",
		importcheck.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                              "test code must not reach a deployed binary",
	})
}
