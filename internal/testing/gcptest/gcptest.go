// Package gcptest starts Google's emulators of Firestore and Pub/Sub for tests. They
// show how a client behaves, not how Google Cloud does.
package gcptest

import (
	"context"
	"crypto/rand"
	"errors"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	firestore "cloud.google.com/go/firestore/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/gcp/emulate"
	"github.com/serverurl/serverurl/internal/testing/testenv"
)

var (
	mu      sync.Mutex
	running = map[string]*emulate.Emulator{}
)

// Firestore returns the HOST:PORT of an emulator that all tests of the program
// share; Main stops it. If it is not installed the test is skipped, and in CI it
// fails.
func Firestore(t testing.TB) string {
	t.Helper()
	return host(t, "Firestore's emulator", emulate.StartFirestore)
}

// PubSub is like Firestore for Pub/Sub.
func PubSub(t testing.TB) string {
	t.Helper()
	return host(t, "Pub/Sub's emulator", emulate.StartPubSub)
}

func host(t testing.TB, name string, start func(context.Context, io.Writer) (*emulate.Emulator, error)) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	if e := running[name]; e != nil {
		return e.Host
	}
	e, err := start(context.Background(), io.Discard)
	if errors.Is(err, emulate.ErrNoEmulators) {
		testenv.Missing(t, name)
	}
	if e != nil {
		running[name] = e
	}
	if err != nil {
		t.Fatal(err)
	}
	return e.Host
}

// Project returns a unique name: in each project an emulator has an empty database
// and no topics.
func Project() string { return "t-" + strings.ToLower(rand.Text()) }

// Store returns a store in the project's database on the emulator at host.
func Store(t testing.TB, host, project string, o ...grpc.DialOption) *gcp.Store {
	t.Helper()
	conn, err := grpc.NewClient(host, append(o, grpc.WithTransportCredentials(insecure.NewCredentials()))...)
	if err != nil {
		t.Fatal(err)
	}
	client, err := firestore.NewClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return gcp.NewStore(client, "projects/"+project+"/databases/(default)")
}

// Stop stops what was started.
func Stop() {
	mu.Lock()
	defer mu.Unlock()
	for name, e := range running {
		_ = e.Close()
		delete(running, name)
	}
}

// Main runs the tests of a package, and stops what they started.
func Main(m *testing.M) {
	code := m.Run()
	Stop()
	os.Exit(code)
}
