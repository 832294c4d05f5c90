package replylint_test

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "the lint needs what a tool request is, and no page, store or platform",
		importcheck.Module+"/core/...", importcheck.Module+"/internal/...", "github.com/go-json-experiment/json/...")
	importcheck.Check(t, map[string]string{
		"net/http": "the lint judges a reply and sends nothing",
		"testing":  "test code must not reach a deployed binary",
	})
}
