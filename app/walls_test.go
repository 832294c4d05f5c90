package app

import (
	"testing"

	"github.com/serverurl/serverurl/internal/walls"
)

func TestWalls(t *testing.T) {
	walls.CheckOnly(t, "an app knows the core and no platform, so that it runs on all",
		walls.Module+"/core", "github.com/go-json-experiment/json/...", "github.com/google/jsonschema-go/...")
}

func TestBuildsForWASM(t *testing.T) { walls.CheckBuild(t, "wasip1", "wasm") }
