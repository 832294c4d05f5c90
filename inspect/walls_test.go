package inspect

import (
	"testing"

	"github.com/serverurl/serverurl/internal/walls"
)

func TestWalls(t *testing.T) {
	walls.CheckOnly(t, "the page knows the core and nothing else: it works on every store",
		walls.Module+"/core", "github.com/go-json-experiment/json/...", "github.com/google/jsonschema-go/...")
	walls.Check(t, map[string]string{
		walls.Module + "/core/coretest": "test code must not reach a deployed binary",
		"testing":                       "test code must not reach a deployed binary",
		"os/exec":                       "the page starts no process",
	})
}
