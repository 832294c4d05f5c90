package arguments_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

// The import rules of this package.
func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "arguments is a pure function of types and bytes", "github.com/go-json-experiment/json/...")
	importcheck.Check(t, map[string]string{"net": "nothing below core opens a socket", "testing": "test code must not reach a deployed program"})
	importcheck.CheckWASM(t)
}
