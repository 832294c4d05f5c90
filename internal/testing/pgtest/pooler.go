package pgtest

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	programs "github.com/serverurl/serverurl/internal/testing/testenv"
)

// PoolSize is how many connections a Pooler has to the server.
const PoolSize = 6

// Pooler starts PgBouncer in transaction mode, with few connections, in front of a
// database of a server on TCP, and returns the URL through it.
func Pooler(t testing.TB, dsn string) string {
	t.Helper()
	program := programs.Program(t, "pgbouncer", "/usr/sbin/pgbouncer")
	u, err := url.Parse(dsn)
	if err != nil || u.Hostname() == "" {
		t.Fatalf("pgtest: a pooler wants a server on TCP: %v", err)
	}
	dir, err := os.MkdirTemp(shortTemp(), "pooler") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	err = os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%s port=%s user=postgres
[pgbouncer]
pool_mode = transaction
default_pool_size = %d
max_client_conn = 200
auth_type = any
unix_socket_dir = %s
listen_port = 6432
server_login_retry = 0.2
ignore_startup_parameters = extra_float_digits
`, u.Hostname(), u.Port(), PoolSize, dir), 0o644)
	if err == nil {
		err = os.Chmod(dir, 0o777) // it refuses to be root, and becomes nobody
	}
	if err != nil {
		t.Fatal(err)
	}
	args := []string{config}
	if os.Getuid() == 0 {
		args = []string{"-u", "nobody", config}
	}
	var log bytes.Buffer
	pooler := exec.Command(program, args...)
	pooler.Stderr = &log
	if err := pooler.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = pooler.Process.Kill()
		_ = pooler.Wait()
		if t.Failed() {
			t.Logf("pgbouncer: %.3000s", log.String())
		}
	})
	socket := filepath.Join(dir, ".s.PGSQL.6432")
	for end := time.Now().Add(stopTime); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(socket); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatal("pgtest: pgbouncer does not start")
		}
	}
	return fmt.Sprintf("postgres://postgres@%s?host=%s&port=6432&sslmode=disable", u.Path, dir)
}
