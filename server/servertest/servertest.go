// Package servertest runs a backend inside a test, on the real server and a
// database of the test's own.
package servertest

import (
	"context"
	"crypto/rand"
	"log/slog"
	"path/filepath"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/server"
)

// Start serves p on this machine until the test ends, and returns the server's
// URL and the secret with which to send. p has its tools and handlers, and is
// not bound to a platform yet. What the server logs is in the test's output.
//
//	func TestCalls(t *testing.T) {
//		url, secret := servertest.Start(t, mine.New())
//		simulatetest.Run(t, simulate.Options{URL: url, Secret: secret}, "booking", "barge-in")
//	}
func Start(t testing.TB, p *core.Processor) (url, secret string) {
	t.Helper()
	secret = rand.Text()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- server.Run(ctx, p, server.Config{
			Addr:     "127.0.0.1:0",
			Database: filepath.Join(t.TempDir(), "serverurl.db"),
			Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(secret)}},
			OnReady:  func(u string) { ready <- u },
			Logger:   slog.New(slog.NewTextHandler(t.Output(), nil)),
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server stopped: %v", err)
		}
	})
	select {
	case url = <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatalf("the server did not start: %v", err)
	}
	return url, secret
}
