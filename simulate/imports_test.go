package simulate_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestWalls(t *testing.T) {
	importcheck.CheckOnly(t, "the simulator is an independent reading of the wire: it shares no code with the backend",
		"github.com/go-json-experiment/json/...", "go.yaml.in/yaml/v3")
}
