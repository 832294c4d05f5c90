package statements

import (
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	worker := "the Worker links these statements"
	importcheck.Check(t, map[string]string{
		importcheck.Module + "/sqldb": worker,
		"database/sql":                worker,
		"embed":                       worker,
		"net":                         worker,
	})
}
