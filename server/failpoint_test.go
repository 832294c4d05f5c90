package server

import (
	"database/sql"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/sqldb"
)

var dying = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serverurl-failpoints-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "server")
	out, err := exec.Command("go", "build", "-tags", "failpoints", "-o", path, "../cmd/server").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	return path, nil
})

// T9 to T11: the program dies between claim and reply. Whatever follows, there is
// one booking, and every reply that reports an outcome reports the same one.
func TestDiesInAToolCall(t *testing.T) {
	for _, place := range []string{"after claim", "after effect", "after store"} {
		t.Run(place, func(t *testing.T) {
			eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
				path, err := dying()
				if err != nil {
					t.Fatal(err)
				}
				u, once := url(t), filepath.Join(t.TempDir(), "once")
				const booking = `{"date":"2035-07-16","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`
				p := startProgram(t, path, u, "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)
				if status, reply, err := post(http.DefaultClient, p.root+"/tools/book_appointment?call=CA1", booking); err == nil {
					t.Fatalf("it answered %d %s", status, reply)
				}
				_ = p.Wait()
				if _, err := os.Stat(once); err != nil {
					t.Fatal("it did not die where it was told to")
				}

				p = startProgram(t, path, u)
				_, reply, err := post(http.DefaultClient, p.root+"/tools/book_appointment?call=CA1", booking)
				switch {
				case err != nil:
					t.Fatal(err)
				case place == "after store" && !strings.Contains(reply, "Booked"):
					t.Errorf("the result was stored, and it says %s", reply)
				case place != "after store" && !strings.Contains(reply, "still being worked on"):
					t.Errorf("the owner may still live, and it says %s", reply)
				}
				_, reply, err = post(http.DefaultClient, p.root+"/tools/my_appointments", `{"phone":"+14155550142","name":"Sam Rivera"}`)
				want := "You have 1 appointment"
				if place == "after claim" {
					want = "There is no appointment to come"
				}
				if err != nil || !strings.Contains(reply, want) {
					t.Errorf("%s, %v; want %q", reply, err, want)
				}
			})
		})
	}
}

// The program dies around an accept, a merge and its handlers. What was
// acknowledged is there when it runs again, and handled.
func TestDiesInAnEvent(t *testing.T) {
	for _, place := range []string{"before put", "after put", "after merge", "after handlers"} {
		t.Run(place, func(t *testing.T) {
			t.Parallel()
			path, err := dying()
			if err != nil {
				t.Fatal(err)
			}
			u, once := freshSQLite(t), filepath.Join(t.TempDir(), "once")
			p := startProgram(t, path, u, "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)
			status, _, postErr := post(http.DefaultClient, p.root+"/events", `{"message":{"type":"end-of-call-report","call":{"id":"CA1","status":"finished"},"messages":[{"messageId":"welcome-1","role":"assistant","text":"Hello."}]}}`)
			_ = p.Wait()
			if _, err := os.Stat(once); err != nil {
				t.Fatal("it did not die where it was told to")
			}
			acked := postErr == nil && status == 200
			if acked != strings.Contains("after merge, after handlers", place) {
				t.Errorf("acknowledged: %v", acked)
			}
			if place == "before put" {
				return // nothing was promised, and nothing is there
			}
			age(t, u)
			startServer(t, u)
			db := open(t, u)
			for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
				call, err := calls.Read(t.Context(), db.Store(), "CA1")
				if err == nil && call.Ended && call.MessageCount == 1 && call.PendingHandlers == 0 {
					return
				}
				if time.Now().After(deadline) {
					t.Fatalf("%+v, %v", call.Summary, err)
				}
			}
		})
	}
}

// age has a delivery that was cut off begun long ago, so that it is given out
// again at once, and not after a minute and a half.
func age(t *testing.T, url string) {
	t.Helper()
	db, err := sql.Open("sqlite", sqldb.SQLiteDSN(url).Write)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, q := range []string{
		"UPDATE river_job SET attempted_at = '2020-01-01 00:00:00.000' WHERE state = 'running'",
		"DELETE FROM river_leader", // the process that died was the one that rescues deliveries
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatal(err)
		}
	}
}
