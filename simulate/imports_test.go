package simulate_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "the simulator is an independent implementation of the protocol: it shares no code with the backend",
		"github.com/go-json-experiment/json/...", "go.yaml.in/yaml/v3")
}
