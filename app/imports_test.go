package app

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "an app knows core and no platform, so that it runs on all of them",
		importcheck.Module+"/core", importcheck.Module+"/core/event", importcheck.Module+"/core/records", importcheck.Module+"/core/calls", importcheck.Module+"/core/auth",
		importcheck.Module+"/internal/...", "github.com/go-json-experiment/json/...")
}

func TestBuildsForWASM(t *testing.T) { importcheck.CheckBuild(t, "wasip1", "wasm") }
