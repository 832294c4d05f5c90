package servertest_test

import (
	"testing"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/server/servertest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
)

func TestCalls(t *testing.T) {
	url, secret := servertest.Start(t, app.New())
	simulatetest.Run(t, simulate.Options{URL: url, Secret: secret}, "booking", "barge-in")
}
