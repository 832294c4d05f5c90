// Package pgtest starts private PostgreSQL servers for tests, from the binaries of
// this machine. It downloads nothing and uses no server that is already running.
//
// Most tests need only an empty database:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestBooking(t *testing.T) {
//		db, err := sql.Open("pgx", pgtest.Open(t))
//		...
//	}
//
// The databases of [Open] are on one server per test binary, which does not wait
// for the disk. A test of durability starts a server of its own with [New], stops it
// in any mode, and starts it again.
//
// Without binaries a test is skipped with the reason; with CI=true it fails. A
// server listens on a socket in its own directory, or on a free loopback port, and
// ends with the test binary, however that ends.
package pgtest

import (
	"context"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

var shared struct {
	once    sync.Once
	cluster *Cluster
	err     error
	count   atomic.Int64
}

// Open returns the connection string of a fresh, empty database, dropped when
// the test ends. The test binary's TestMain must call [Main].
func Open(t testing.TB) (dsn string) {
	t.Helper()
	requirePostgres(t)
	shared.once.Do(func() {
		shared.cluster, shared.err = start(&Options{NoSync: true, TCP: true})
	})
	if shared.err != nil {
		t.Fatalf("pgtest: %v", shared.err)
	}
	return shared.cluster.Database(t)
}

// Main runs the tests, stops the server that [Open] started, and exits.
// m is a *testing.M, or a wrapper of one.
func Main(m interface{ Run() int }) {
	code := m.Run()
	if c := shared.cluster; c != nil {
		c.remove()
	}
	os.Exit(code)
}

// New starts a server for one test and removes it when the test ends. nil means all
// defaults, with which the server is durable.
func New(t testing.TB, o *Options) *Cluster {
	t.Helper()
	requirePostgres(t)
	c, err := start(o)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(c.remove)
	return c
}

// Launch starts a server for a program that is not a test. The caller must call
// Remove. nil means all defaults.
func Launch(o *Options) (*Cluster, error) { return start(o) }

// Remove ends the server and deletes its data.
func (c *Cluster) Remove() { c.remove() }

// Create creates a database and returns its connection string.
func (c *Cluster) Create(name string) (dsn string, err error) {
	return c.DSN(name), c.exec("CREATE DATABASE " + name)
}

// Database creates a database for one test and returns its connection string.
// It is dropped when the test ends, if the server is still running.
func (c *Cluster) Database(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("test_%d", shared.count.Add(1))
	if err := c.exec("CREATE DATABASE " + name); err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(func() {
		if c.running() {
			c.exec("DROP DATABASE IF EXISTS " + name + " WITH (FORCE)")
		}
	})
	return c.DSN(name)
}

// exec runs a statement in the database postgres.
func (c *Cluster) exec(query string) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopTime)
	defer cancel()
	conn, err := pgx.Connect(ctx, c.DSN("postgres"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, query)
	return err
}

// requirePostgres skips the test, or fails it in CI, if PostgreSQL is not installed.
func requirePostgres(t testing.TB) {
	t.Helper()
	if _, err := binary("postgres"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("CI must have PostgreSQL: %v", err)
		}
		t.Skipf("NOT TESTED on PostgreSQL: %v", err)
	}
}
