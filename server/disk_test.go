package server

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/sqldb"
)

// An event that neither the database nor the file takes is not acknowledged, and
// the file takes so much and no more.
func TestSpoolRefuses(t *testing.T) {
	t.Parallel()
	db := open(t, freshSQLite(t))
	in, err := sqldb.NewInbox(db, func(context.Context, core.Envelope) error { return nil }, sqldb.InboxOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := openSpool(t.Context(), filepath.Join(t.TempDir(), "spool.db"), in, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	var back atomic.Bool
	s.put = func(context.Context, ...core.Envelope) error {
		if back.Load() {
			return nil
		}
		return errors.New("connection refused")
	}
	ran := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { ran <- s.file.Run(ctx) }()
	put := func() error {
		return s.Put(t.Context(), core.Envelope{ID: rand.Text(), Type: event.TypeHang, Call: "CA1", Received: time.Now(), Body: []byte(`{"x":"` + noise(100_000) + `"}`)})
	}
	if s.maxBytes, err = s.db.UsedBytes(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.maxBytes += 1 << 20
	n := 0
	for ; err == nil && n < 100; n++ {
		err = put()
	}
	if !errors.Is(err, errSpoolFull) || n < 5 {
		t.Errorf("event %d: %v, want the spool to be full", n, err)
	}
	s.maxBytes = 1 << 40
	if err := put(); err != nil {
		t.Errorf("with room again: %v", err)
	}
	back.Store(true) // so that nothing is on its way when it stops
	stop()
	if err := <-ran; err != nil {
		t.Error(err)
	}
	if err := s.db.Close(); err != nil {
		t.Error(err)
	}
	back.Store(false)
	s.unavailable.Store(true)
	if put() == nil {
		t.Error("acknowledged, and neither has it")
	}
}

// noise is text that does not pack.
func noise(n int) string {
	b := make([]byte, n*3/4)
	_, _ = rand.Read(b)
	return base64.StdEncoding.EncodeToString(b)
}

// A database file that another program holds is away like any other: events are
// spooled, and stored when it lets go.
func TestSpoolWhileTheFileIsLocked(t *testing.T) {
	t.Parallel()
	url := freshSQLite(t)
	p := startProcess(t, url, "SERVERURL_SPOOL="+filepath.Join(t.TempDir(), "spool.db"))
	other, err := sql.Open("sqlite", sqldb.SQLiteDSN(url).Write)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	lock, err := other.Begin()
	if err != nil {
		t.Fatal(err)
	}
	var acked sync.Map
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			id := fmt.Sprint("CA-locked", i)
			if status, reply, err := post(http.DefaultClient, p.root+"/events", hangs(id)); status != 200 {
				t.Errorf("%s: %d %s %v", id, status, reply, err)
			}
			acked.Store(id, true)
		})
	}
	all.Wait()
	resp, err := http.Get(p.root + "/healthz")
	if err != nil || resp.StatusCode != 200 {
		t.Errorf("/healthz: %v", err)
	} else {
		resp.Body.Close()
	}
	if err := lock.Rollback(); err != nil {
		t.Fatal(err)
	}
	untilStored(t, url, &acked)
}

// untilStored waits until each call is there.
func untilStored(t *testing.T, url string, acked *sync.Map) {
	t.Helper()
	db := open(t, url)
	acked.Range(func(id, _ any) bool {
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			if _, err := calls.Read(t.Context(), db.Store(), event.CallID(id.(string))); err == nil {
				return true
			} else if time.Now().After(end) {
				t.Errorf("%s: %v", id, err)
				return false
			}
		}
	})
}

// S2: the disk is full. Events are refused with 503, and the program keeps running;
// once there is space it accepts events without a restart, and all that it
// acknowledged is stored. The file system of 8 MB needs a name space of its own.
func TestDiskFull(t *testing.T) {
	const variable = "SERVERURL_TEST_SMALL_DISK"
	if dir := os.Getenv(variable); dir != "" {
		fillDisk(t, dir)
		return
	}
	t.Parallel()
	dir := t.TempDir()
	if out, err := exec.Command("unshare", "-rm", "mount", "-t", "tmpfs", "-o", "size=8m", "none", dir).CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: no file system of one's own can be made here: %v %s", err, out)
	}
	cmd := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=8m none "$`+variable+`" && exec "$0" -test.run '^TestDiskFull$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), variable+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS: TestDiskFull")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func fillDisk(t *testing.T, dir string) {
	url, ballast := filepath.Join(dir, "calls.db"), filepath.Join(dir, "ballast")
	p := startProcess(t, url)
	var acked sync.Map
	send := func(id string, size int) (status int, reply string) {
		body := `{"message":{"type":"hang","call":{"id":"` + id + `"},"x":"` + noise(size) + `"}}`
		status, reply, err := post(http.DefaultClient, p.root+"/events", body)
		if err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if status == 200 {
			acked.Store(id, true)
		}
		return status, reply
	}
	if status, reply := send("CA-before", 100); status != 200 {
		t.Fatal(status, reply)
	}
	for round := range 3 {
		f, err := os.Create(ballast)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(f, strings.NewReader(strings.Repeat("x", 9<<20))); err == nil {
			t.Fatal("the disk is not full")
		}
		f.Close()
		var refused atomic.Int64
		var all sync.WaitGroup
		for i := range 20 { // at once: each is refused after some seconds
			all.Go(func() {
				switch status, reply := send(fmt.Sprintf("CA-full-%d-%d", round, i), 200_000); status {
				case 503:
					refused.Add(1)
				case 200:
				default:
					t.Errorf("%d %s", status, reply)
				}
			})
		}
		all.Wait()
		if refused.Load() == 0 {
			t.Error("a full disk refuses nothing")
		}
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		deadline := time.Now().Add(5 * time.Minute)
		for i := 0; ; i++ {
			if status, _ := send(fmt.Sprintf("CA-room-%d-%d", round, i), 100); status == 200 {
				break
			} else if time.Now().After(deadline) {
				t.Fatalf("there is room again, and events are refused\n%s", p.stderr)
			}
		}
	}
	untilStored(t, url, &acked)
	n := 0
	acked.Range(func(any, any) bool { n++; return true })
	t.Logf("%d acknowledged, all are there", n)
}
