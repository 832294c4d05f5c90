package servertest_test

import (
	"testing"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/server/servertest"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

// A test plays scenarios at a backend: the replies are checked, and what is stored
// in the end.
func ExampleStart() {
	_ = func(t *testing.T) { // func TestCalls(t *testing.T)
		simulatetest.Run(t, servertest.Start(t, app.New()), "booking", "testdata/mine.yaml")
	}
}

// A backend of two tenants is played at as each of them.
func ExampleStartConfig() {
	const north, south = "5f1d0c9a7b3e48d2a6c4e8f0b1d3957a", "0d7e2b91c4f8a6355e8091d2c7ba43f6"
	_ = func(t *testing.T) { // func TestTenants(t *testing.T)
		o := servertest.StartConfig(t, app.New(), server.Config{
			Verifier: auth.Verifier{Secrets: auth.ParseSecrets("north:" + north + ",south:" + south)},
		})
		for _, o.Secret = range []string{north, south} {
			simulatetest.Run(t, o, "booking")
		}
	}
}
