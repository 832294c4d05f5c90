package vercel

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	platform := "a platform imports no other platform"
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/aws/...":        platform,
		importcheck.Module + "/gcp/...":        platform,
		importcheck.Module + "/cloudflare/...": platform,
		importcheck.Module + "/server":         platform,
		importcheck.Module + "/app":            "only cmd joins an app to a platform",
		importcheck.Module + "/cmd/...":        "nobody imports cmd",
		importcheck.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                              "test code must not reach a deployed binary",
	})
}
