package sqldb

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

// On a full disk an event is refused, and none that was accepted is lost; once
// there is space again events are accepted, without a restart. The disk is a file
// system of 8 MB of the test's own.
func TestFullDisk(t *testing.T) {
	if dir := os.Getenv("SERVERURL_TEST_SMALL_DISK"); dir != "" {
		fillDisk(t, dir)
		return
	}
	dir := t.TempDir()
	mount := []string{"mount", "-t", "tmpfs", "-o", "size=8m", "none", dir}
	if out, err := exec.Command("unshare", append([]string{"-rm"}, mount...)...).CombinedOutput(); err != nil {
		t.Skipf("NOT RUN: no file system of one's own can be made here: %v %s", err, out)
	}
	cmd := exec.Command("unshare", "-rm", "sh", "-c", `mount -t tmpfs -o size=8m none "$SERVERURL_TEST_SMALL_DISK" && exec "$0" -test.run '^TestFullDisk$' -test.v`, os.Args[0])
	cmd.Env = append(os.Environ(), "SERVERURL_TEST_SMALL_DISK="+dir)
	if out, err := cmd.CombinedOutput(); err != nil || !bytes.Contains(out, []byte("--- PASS")) {
		t.Errorf("%v\n%s", err, out)
	}
}

func fillDisk(t *testing.T, dir string) {
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 4<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	in, err := NewInbox(open(t, filepath.Join(dir, "serverurl.db")), nil, InboxOptions{NoWorkers: true})
	if err != nil {
		t.Fatal(err)
	}
	accepted := map[string]bool{}
	put := func(id string) error {
		body := make([]byte, 100_000) // which cannot be packed
		_, _ = rand.Read(body)
		err := in.Put(context.Background(), core.Envelope{ID: id, Type: event.TypeHang, Call: "CA1", Body: body})
		if err == nil {
			accepted[id] = true
		}
		return err
	}
	refused := 0
	for i := range 60 {
		if put(fmt.Sprint("full", i)) != nil {
			refused++
		}
	}
	if refused == 0 || len(accepted) < 5 {
		t.Fatalf("%d accepted, %d refused", len(accepted), refused)
	}
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		if err := put(fmt.Sprint("after", i)); err != nil {
			t.Errorf("with room again: %v", err)
		}
	}
	es, err := in.Pending(context.Background(), 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range es {
		delete(accepted, e.ID)
	}
	if len(accepted) > 0 {
		t.Errorf("%d that were accepted are not there", len(accepted))
	}
}
