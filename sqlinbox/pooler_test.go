package sqlinbox

import (
	"bytes"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/need"
	"github.com/serverurl/serverurl/internal/pgtest"
)

// startPooler puts PgBouncer in transaction mode, with few connections, in
// front of a database, and returns the URL through it.
func startPooler(t *testing.T) string {
	t.Helper()
	program := need.Program(t, "pgbouncer", "/usr/sbin/pgbouncer")
	u, err := url.Parse(pgtest.New(t, &pgtest.Options{TCP: true, NoSync: true}).Database(t))
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/tmp", "pooler") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	config := filepath.Join(dir, "pgbouncer.ini")
	err = os.WriteFile(config, fmt.Appendf(nil, `[databases]
* = host=%s port=%s user=postgres
[pgbouncer]
pool_mode = transaction
default_pool_size = 6
max_client_conn = 200
auth_type = any
unix_socket_dir = %s
listen_port = 6432
ignore_startup_parameters = extra_float_digits
`, u.Hostname(), u.Port(), dir), 0o644)
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
	for end := time.Now().Add(10 * time.Second); !exists(filepath.Join(dir, ".s.PGSQL.6432")); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("pgbouncer does not start")
		}
	}
	return fmt.Sprintf("postgres://postgres@%s?host=%s&port=6432&sslmode=disable", u.Path, dir)
}
func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func TestThroughPooler(t *testing.T) {
	where := startPooler(t)
	db := open(t, where)
	if !db.pollOnly {
		t.Error("notifications that do not come through were not noticed")
	}
	// The suite wants an empty inbox for each case; what is left in this one is
	// of other cases, and known by its ids.
	coretest.Inbox(t, coretest.InboxTraits{Events: 300}, func(t *testing.T, deliver coretest.Deliver) core.Inbox {
		if _, err := db.write.Exec("DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		in, _ := startInbox(t, open(t, where), deliver, Options{Attempts: 4, Logger: slog.New(slog.DiscardHandler)})
		return in
	})
}

func TestNotificationsAreUsedWhereTheyCome(t *testing.T) {
	if open(t, pgtest.Open(t)).pollOnly {
		t.Error("the inbox is polled on a direct connection")
	}
}
