package emulate_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/simulate/simulatetest"
	"github.com/serverurl/serverurl/sqldb"
	"github.com/serverurl/serverurl/vercel/emulate"
)

// patience is how long anything may take on a machine that has much to do.
const patience = 5 * time.Minute

// storeOn is the store of the instances, from outside.
func storeOn(t *testing.T, database string) records.Store {
	t.Helper()
	l, err := sqldb.OpenLazy(database, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	if err := l.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l.Database().Store()
}

// Whole calls through what is deployed, in both modes, several instances at
// once, each frozen after every reply.
func TestCalls(t *testing.T) {
	eachMode(t, func(t *testing.T, o emulate.Options) {
		database := pgtest.Open(t)
		o.Env, o.Cron = env(database), time.Second
		simulatetest.Run(t, simulate.Options{
			URL: start(t, o), Secret: secret, SettleTimeout: 2 * time.Minute, State: finalstate.In(storeOn(t, database)),
			Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate},
		}, "booking", "barge-in", "no-report")
	})
}

// The same through a pooler in transaction mode, as in production, with the
// instances ended after every fifth request.
func TestCallsThroughAPooler(t *testing.T) {
	database := pgtest.Pooler(t, pgtest.Open(t))
	url := start(t, emulate.Options{Output: built(t, emulate.Standalone), Freeze: true, MaxInvocations: 5, Cron: time.Second, Env: env(database)})
	simulatetest.Run(t, simulate.Options{
		URL: url, Secret: secret, SettleTimeout: 2 * time.Minute, State: finalstate.In(storeOn(t, database)),
		Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate},
	}, "booking", "barge-in", "no-report")
}

// send posts an event or a tool call. The status is 0 when nobody answered.
func send(t *testing.T, url, body string) (status int, said string) {
	r, err := http.NewRequest("POST", url, strings.NewReader(body))
	if err != nil {
		t.Error(err)
		return 0, ""
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(b)
}

func status(call, status string) string {
	return fmt.Sprintf(`{"message":{"type":"status-update","call":{"id":%q,"status":%q}}}`, call, status)
}

// cron fires the cron and returns the status.
func cron(t *testing.T, url, secret string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/cron", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", "Bearer "+secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode
}

// query asks the database for a number.
func query(t *testing.T, database, q string) (n int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), q).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

const lostLongAgo = "WITH u AS (UPDATE river_job SET attempted_at = attempted_at - interval '2 minutes' WHERE state = 'running' RETURNING 1) SELECT count(*)::int FROM u"

const waiting = "SELECT count(*)::int FROM river_job WHERE state <> 'completed'"

// What is answered 200 is in the database and delivered, whatever happens to
// the instance then: it is stopped on the last byte of its reply, and ended
// after every other one.
func TestNothingAcceptedIsLost(t *testing.T) {
	eachMode(t, func(t *testing.T, o emulate.Options) {
		database := pgtest.Open(t)
		o.Env, o.MaxInvocations = env(database), 2
		url := start(t, o)
		const n = 24
		for i := range n {
			if code, said := send(t, url, status(fmt.Sprint("CA-", i), "ongoing")); code != 200 || said != "{}" {
				t.Fatalf("event %d: %d %s", i, code, said)
			}
		}
		if left := query(t, database, waiting); left != 0 {
			t.Errorf("%d events wait, though each request delivers", left)
		}
		store := storeOn(t, database)
		for i := range n {
			if c, err := calls.Read(t.Context(), store, event.CallID(fmt.Sprint("CA-", i))); err != nil || c.Status != "ongoing" {
				t.Errorf("call %d: %s, %v", i, c.Status, err)
			}
		}
	})
}

// dying is the server with places to die, built by Vercel's CLI.
var dying = sync.OnceValues(func() (string, error) {
	cli, err := emulate.FindCLI(context.Background(), io.Discard)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "dying-")
	if err != nil {
		return "", err
	}
	return emulate.Build{CLI: cli, Dir: "../..", Project: ".", Env: []string{"GOFLAGS=-buildvcs=false -trimpath -tags=failpoints"}}.Run(context.Background(), dir)
})

// An instance dies around an accept, a merge and its handlers, before it could
// reply. What is in the database is delivered by the next event, or by the cron.
func TestDiesInAnEvent(t *testing.T) {
	built(t, emulate.Standalone) // or skip
	output, err := dying()
	if err != nil {
		t.Fatal(err)
	}
	const report = `{"message":{"type":"end-of-call-report","call":{"id":"CA-dies","status":"finished"},"messages":[{"messageId":"welcome-1","role":"assistant","text":"Hello."}]}}`
	for _, place := range []string{"before put", "after put", "after merge", "after handlers"} {
		for _, next := range []string{"event", "cron"} {
			t.Run(place+", then "+next, func(t *testing.T) {
				database, once := pgtest.Open(t), filepath.Join(t.TempDir(), "once")
				url := start(t, emulate.Options{Output: output, Freeze: true, Cron: time.Hour,
					Env: append(env(database), "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)})
				if code, _ := send(t, url, report); code != 500 && code != 502 {
					t.Errorf("status %d of an instance that died", code)
				}
				if _, err := os.Stat(once); err != nil {
					t.Fatal("it did not die where it was told to")
				}
				if left := query(t, database, waiting); (left == 1) != (place != "before put") {
					t.Fatalf("%d events in the database", left)
				}
				if place == "before put" {
					return // nothing was promised
				}
				// What it had taken counts as lost after a minute and a quarter.
				query(t, database, lostLongAgo)
				switch next {
				case "event":
					if code, said := send(t, url, status("CA-next", "ongoing")); code != 200 {
						t.Fatalf("%d %s", code, said)
					}
				case "cron":
					if code := cron(t, url, cronSecret); code != 200 {
						t.Fatalf("cron: %d", code)
					}
				}
				c, err := calls.Read(t.Context(), storeOn(t, database), "CA-dies")
				if err != nil || !c.Ended || c.MessageCount != 1 || c.PendingHandlers != 0 {
					t.Errorf("%+v, %v", c.Summary, err)
				}
				if left := query(t, database, waiting); left != 0 {
					t.Errorf("%d events wait", left)
				}
			})
		}
	}
}

// A database that is stopped hard in the middle of calls loses nothing of what
// was answered 200; the instances find their way back by themselves.
func TestDatabaseRestart(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{TCP: true})
	direct := cluster.Database(t)
	pooled := pgtest.Pooler(t, direct)
	url := start(t, emulate.Options{Output: built(t, emulate.Standalone), Freeze: true, Instances: 3, Cron: time.Second, Env: env(pooled)})
	var mu sync.Mutex
	var acked []string
	count := func() int { mu.Lock(); defer mu.Unlock(); return len(acked) }
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for s := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				call := fmt.Sprintf("CA-%d-%d", s, i)
				if code, _ := send(t, url, status(call, "ongoing")); code == 200 {
					mu.Lock()
					acked = append(acked, call)
					mu.Unlock()
				}
			}
		})
	}
	until := func(n int) {
		for end := time.Now().Add(patience); count() < n; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Errorf("only %d of %d events were accepted", count(), n)
				return
			}
		}
	}
	until(20)
	for range 2 {
		if err := cluster.Stop(pgtest.Immediate); err != nil {
			t.Error(err)
		}
		if err := cluster.Start(); err != nil {
			t.Fatal(err)
		}
		until(count() + 20)
	}
	close(stop)
	senders.Wait()
	// What was being delivered counts as lost with its instance after a minute
	// and a quarter.
	query(t, direct, lostLongAgo)
	store := storeOn(t, direct)
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		lost := 0
		for _, call := range acked {
			if _, err := calls.Read(t.Context(), store, event.CallID(call)); err != nil {
				lost++
			}
		}
		if lost == 0 {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d accepted events did not arrive", lost, len(acked))
		}
	}
	t.Logf("2 stops, %d accepted, none lost", len(acked))
}

// Many instances at once stay within what a pooler is given: it never has more
// connections to the database than its pool, and they each few to it.
func TestConnectionBudget(t *testing.T) {
	direct := pgtest.Open(t)
	pooled := pgtest.Pooler(t, direct)
	const instances = 12
	url := start(t, emulate.Options{Output: built(t, emulate.Standalone), Freeze: true, Instances: instances, Cron: time.Hour, Env: env(pooled)})
	var senders sync.WaitGroup
	for s := range 2 * instances {
		senders.Go(func() {
			for i := range 5 {
				if code, said := send(t, url, status(fmt.Sprintf("CA-%d-%d", s, i), "ongoing")); code != 200 {
					t.Errorf("%d %s", code, said)
				}
			}
		})
	}
	senders.Wait()
	n := query(t, direct, "SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()")
	if n == 0 || n > pgtest.PoolSize {
		t.Errorf("%d connections to the database, want %d at the most", n, pgtest.PoolSize)
	}
	t.Logf("%d instances, %d events, %d connections to the database", instances, 2*instances*5, n)
}

// A database on a port of this machine is reached from an instance's own network.
func TestDatabaseOnAPort(t *testing.T) {
	database := pgtest.Open(t)
	url := start(t, emulate.Options{Output: built(t, emulate.Standalone), Freeze: true, Cron: time.Hour, Env: env(database)})
	for i := range 6 {
		if code, said := send(t, url, status(fmt.Sprint("CA-", i), "ongoing")); code != 200 {
			t.Errorf("%d %s", code, said)
		}
	}
	if left := query(t, database, waiting); left != 0 {
		t.Errorf("%d events wait", left)
	}
}

// What an instance does for longer than it may is ended, and the next request
// has a new one.
func TestInstanceThatHangsIsEnded(t *testing.T) {
	cluster := pgtest.New(t, &pgtest.Options{TCP: true, NoSync: true})
	database := cluster.Database(t)
	storeOn(t, database) // makes the tables
	url := start(t, emulate.Options{Output: shortened(t, built(t, emulate.Standalone)), Instances: 1, Cron: time.Hour, Env: env(database)})
	if code, said := send(t, url, status("CA-1", "ongoing")); code != 200 {
		t.Fatalf("%d %s", code, said)
	}
	if err := cluster.Stop(pgtest.Immediate); err != nil {
		t.Fatal(err)
	}
	if code, said := send(t, url, status("CA-2", "ongoing")); code != 504 || !strings.Contains(said, "FUNCTION_INVOCATION_TIMEOUT") {
		t.Errorf("%d %s", code, said)
	}
	if err := cluster.Start(); err != nil {
		t.Fatal(err)
	}
	if code, said := send(t, url, status("CA-3", "ongoing")); code != 200 {
		t.Errorf("then %d %s", code, said)
	}
}

// shortened is an output whose function may take three seconds, which is less than it waits for a database.
func shortened(t *testing.T, output string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(output)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "functions", "go.func", ".vc-config.json")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	short := strings.Replace(string(b), `"maxDuration": 30`, `"maxDuration": 3`, 1)
	if short == string(b) {
		t.Fatalf("the build does not say 30 s: %s", b)
	}
	if err := os.WriteFile(file, []byte(short), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Only Vercel's cron may drain and sweep.
func TestCronHasItsOwnSecret(t *testing.T) {
	eachMode(t, func(t *testing.T, o emulate.Options) {
		o.Env = env(pgtest.Open(t))
		url := start(t, o)
		for sent, want := range map[string]int{cronSecret: 200, secret: 401, "": 401, cronSecret + "x": 401} {
			if code := cron(t, url, sent); code != want {
				t.Errorf("%q: %d, want %d", sent, code, want)
			}
		}
	})
}

func TestBodyOverTheCapIsRefusedByTheEdge(t *testing.T) {
	url := start(t, emulate.Options{Output: built(t, emulate.Standalone), Cron: time.Hour, Env: env(pgtest.Open(t))})
	if code, said := send(t, url, strings.Repeat(" ", 4_500_001)); code != 413 || !strings.Contains(said, "FUNCTION_PAYLOAD_TOO_LARGE") {
		t.Errorf("%d %s", code, said)
	}
}

// A program that is configured wrongly says so in a line, without the value.
func TestProgramSaysWhatIsMissing(t *testing.T) {
	program := filepath.Join(built(t, emulate.Standalone), "functions", "go.func", "user-server")
	const database = "SERVERURL_DATABASE_URL=postgres://u:hidden-password@127.0.0.1:1/d"
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "PORT is not set"},
		{[]string{"PORT=0"}, "no database"},
		{[]string{"PORT=0", database}, "CRON_SECRET is not set"},
		{[]string{"PORT=0", database, "CRON_SECRET=short"}, "CRON_SECRET"},
		{[]string{"PORT=0", database, "CRON_SECRET=" + cronSecret}, "no secret is set"},
		{[]string{"PORT=0", "DATABASE_URL=mysql://hidden-password@h/d", "CRON_SECRET=" + cronSecret}, "postgres://"},
	} {
		said, err := runProgram(t, program, c.env)
		if err == nil || !strings.Contains(said, c.want) || strings.Contains(said, "hidden") || strings.Contains(said, "short:") {
			t.Errorf("%v: %v, %q; want %q", c.env, err, said, c.want)
		}
		if n := strings.Count(said, "\n"); n != 1 {
			t.Errorf("%v: %d lines, want one: %s", c.env, n, said)
		}
	}
}

func TestRunRefusesWhatIsNotHere(t *testing.T) {
	whole := env("postgres://postgres@127.0.0.1:1/calls")
	for _, c := range []struct {
		o    emulate.Options
		want string
	}{
		{emulate.Options{Env: whole, Addr: "0.0.0.0:8080"}, "loopback"},
		{emulate.Options{Env: whole, Addr: ":8080"}, "loopback"},
		{emulate.Options{Env: whole, Mode: "edge"}, "no mode"},
		{emulate.Options{Env: []string{"SERVERURL_SECRET=" + secret}}, "needs a Postgres"},
		{emulate.Options{Env: []string{"DATABASE_URL=postgres://127.0.0.1/d"}}, "no secret"},
		{emulate.Options{Env: whole, Mode: emulate.Function, SkipCLI: true}, "Vercel's CLI alone"},
	} {
		if err := emulate.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
