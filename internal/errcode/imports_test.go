package errcode_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

// The import rules of this package.
func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "core uses it")
	importcheck.Check(t, map[string]string{"net": "nothing below core opens a socket", "testing": "test code must not reach a deployed program"})
	importcheck.CheckWASM(t)
}
