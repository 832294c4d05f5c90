package calls_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

// The import rules of this package.
func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "calls reads what is stored; the processor is above it",
		"github.com/go-json-experiment/json/...", importcheck.Module+"/core/event", importcheck.Module+"/core/records", importcheck.Module+"/internal/callstate", importcheck.Module+"/internal/loosejson", importcheck.Module+"/internal/fault")
	importcheck.Check(t, map[string]string{"net": "nothing below core opens a socket", "testing": "test code must not reach a deployed program"})
	importcheck.CheckWASM(t)
}
