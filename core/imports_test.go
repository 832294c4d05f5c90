package core_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestWalls(t *testing.T) {
	importcheck.CheckOnly(t, "core has no other dependency, so that it fits everywhere",
		"github.com/go-json-experiment/json/...",
		importcheck.Module+"/core/event", importcheck.Module+"/core/records", importcheck.Module+"/core/calls", importcheck.Module+"/core/auth",
		importcheck.Module+"/internal/...")
	importcheck.Check(t, map[string]string{
		"net":      "core opens no socket",
		"net/http": "it costs a Worker 0.6 MB of gzip",
		"os/exec":  "core starts no process",
		"testing":  "test code must not reach a deployed program",
		importcheck.Module + "/internal/testing/...": "test code must not reach a deployed program",
	})
}

func TestBuildsForWASM(t *testing.T) {
	importcheck.CheckWASM(t)
}
