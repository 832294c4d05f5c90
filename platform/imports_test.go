package platform

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "every platform takes the options, Workers included",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", "github.com/go-json-experiment/json/...")
	importcheck.CheckWASM(t)
}
