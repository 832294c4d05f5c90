package server_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"log"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/server"
)

// A program that is not configured by flags and environment calls Run instead of
// Main.
func Example_run() {
	dir, err := os.MkdirTemp("", "server")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	err = server.Run(ctx, app.New(), server.Config{
		Addr:     "127.0.0.1:0",
		Database: filepath.Join(dir, "serverurl.db"),
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(rand.Text())}},
		Logger:   slog.New(slog.DiscardHandler),
		OnReady: func(url string) {
			resp, err := http.Get(url + "/readyz")
			if err != nil {
				log.Fatal(err)
			}
			defer resp.Body.Close()
			fmt.Println("ready:", resp.StatusCode)
			stop()
		},
	})
	fmt.Println("stopped:", err)
	// Output:
	// ready: 200
	// stopped: <nil>
}
