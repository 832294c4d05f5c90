package inspect

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestWalls(t *testing.T) {
	importcheck.CheckOnly(t, "the page knows the core and nothing else: it works on every store",
		importcheck.Module+"/core", importcheck.Module+"/internal/obscure", importcheck.Module+"/replylint", "github.com/go-json-experiment/json/...", "github.com/google/jsonschema-go/...", "github.com/rogpeppe/go-internal/diff")
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/core/coretest": "test code must not reach a deployed binary",
		"testing":                             "test code must not reach a deployed binary",
		"os/exec":                             "the page starts no process",
	})
}
