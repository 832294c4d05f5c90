package envelope_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

// The import rules of this package.
func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "every platform uses it, Workers included",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", "github.com/go-json-experiment/json/...")
	importcheck.Check(t, map[string]string{"net": "it opens no socket", "testing": "test code must not reach a deployed program"})
	importcheck.CheckWASM(t)
}
