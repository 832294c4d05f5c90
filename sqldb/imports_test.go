package sqldb

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestWalls(t *testing.T) {
	platform := "a platform room imports no other platform"
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/aws/...":        platform,
		importcheck.Module + "/gcp/...":        platform,
		importcheck.Module + "/vercel/...":     platform,
		importcheck.Module + "/cloudflare/...": platform,
		importcheck.Module + "/server":         "rooms are built on it, not it on them",
		importcheck.Module + "/app":            "only cmd joins an app to a platform",
		importcheck.Module + "/cmd/...":        "nobody imports cmd",
		importcheck.Module + "/core/coretest":  "test code must not reach a deployed binary",
		"testing":                              "test code must not reach a deployed binary",
	})
}
