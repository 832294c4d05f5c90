package inspect

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "the page works on every store and platform",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", importcheck.Module+"/replylint", "github.com/go-json-experiment/json/...", "github.com/rogpeppe/go-internal/diff")
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/core/coretest": "test code must not reach a deployed binary",
		"testing":                             "test code must not reach a deployed binary",
		"os/exec":                             "the page starts no process",
	})
}
