package sqldb

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// putterEnv names the database of a child process that puts until it is killed.
const putterEnv = "SERVERURL_TEST_PUTTER"

// putters is how many callers put at a time, so that commits are shared.
const putters = 16

// runPutter puts events and prints the id of each that was acknowledged. Its
// deliveries are slow, so that the inbox is busy with all it does.
func runPutter(url string, out io.Writer) error {
	ctx := context.Background()
	db, err := Open(ctx, url)
	if err != nil {
		return err
	}
	in, err := NewInbox(db, func(ctx context.Context, e core.Envelope) error {
		// Delivered events leave the inbox; what they leave behind is in the store.
		r := records.Record{Key: "delivered/" + e.ID, Value: []byte{}}
		if err := db.Store().Commit(ctx, r); err != nil && err != records.ErrStale {
			return err
		}
		return nil
	}, InboxOptions{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	go func() { _ = in.Run(ctx) }() // the process ends by a kill
	var mu sync.Mutex
	var wg sync.WaitGroup
	body := `{"message":{"text":"` + strings.Repeat("Bright Smile Dental ", 100) + `"}}`
	for range putters {
		wg.Go(func() {
			for {
				id := fmt.Sprintf("%d-%016x", os.Getpid(), rand.Uint64())
				if err := in.Put(ctx, newEnvelope(id, body)); err != nil {
					fmt.Fprintln(os.Stderr, "put:", err)
					continue
				}
				mu.Lock()
				fmt.Fprintln(out, id)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return nil
}

// killCycle runs a putter for a moment, kills it, and returns the ids that it
// had acknowledged.
func killCycle(t *testing.T, url string) (acked []string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command(self)
	child.Env = append(os.Environ(), putterEnv+"="+url)
	var complaints strings.Builder
	child.Stderr = &complaints
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	var kill *time.Timer
	for lines.Scan() {
		if kill == nil {
			kill = time.AfterFunc(rand.N(150*time.Millisecond), func() { _ = child.Process.Kill() })
			defer kill.Stop()
		}
		acked = append(acked, lines.Text())
	}
	_ = child.Wait() // it was killed
	if len(acked) == 0 {
		t.Fatalf("the child acknowledged nothing: %s", complaints.String())
	}
	// The last line may be torn.
	if last := acked[len(acked)-1]; len(last) != len(acked[0]) {
		acked = acked[:len(acked)-1]
	}
	return acked
}

// eachJob calls f with every envelope in the inbox.
func eachJob(t *testing.T, db *Database, f func(core.Envelope)) {
	t.Helper()
	query := "SELECT json(args) FROM river_job WHERE kind = 'serverurl_event'"
	if db.pool != nil {
		query = "SELECT args FROM river_job WHERE kind = 'serverurl_event'"
	}
	rows, err := db.write.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close() // SQLite's connection is one
	for rows.Next() {
		var args []byte
		if err := rows.Scan(&args); err != nil {
			t.Fatal(err)
		}
		e, err := unpackArgs(args)
		if err != nil {
			t.Fatal(err)
		}
		f(e)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// present returns which ids the database knows, as jobs or as delivered.
func present(t *testing.T, db *Database) map[string]bool {
	t.Helper()
	ids := map[string]bool{}
	eachJob(t, db, func(e core.Envelope) { ids[e.ID] = true })
	for after := ""; ; {
		recs, err := db.Store().Range(t.Context(), "delivered", after, 1000)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			ids[after] = true
		}
		if len(recs) < 1000 {
			return ids
		}
	}
}

// An acknowledged event survives the death of the process, wherever in a commit,
// a delivery or a checkpoint it comes.
func TestKilled(t *testing.T) {
	eachDatabase(t, func(t *testing.T, url func(testing.TB) string) {
		cycles, where := 30, url(t)
		if strings.HasPrefix(where, "postgres") {
			cycles = 6
		}
		if testing.Short() {
			cycles = 3
		}
		var acked []string
		for range cycles {
			acked = append(acked, killCycle(t, where)...)
		}
		checkPresent(t, where, acked)
		t.Logf("%d kills, %d acknowledged, none lost", cycles, len(acked))
	})
}

func checkPresent(t *testing.T, url string, acked []string) {
	t.Helper()
	db := open(t, url) // looks for damage, too
	if db.pool == nil {
		if err := QuickCheck(t.Context(), db.write); err != nil {
			t.Fatal(err)
		}
	}
	there, lost := present(t, db), 0
	for _, id := range acked {
		if !there[id] {
			lost++
		}
	}
	if lost > 0 {
		t.Fatalf("%d of %d acknowledged events are lost", lost, len(acked))
	}
}

// The same for a server that is killed: what Put returned nil for is there when
// Postgres is.
func TestPostgresStoppedHard(t *testing.T) {
	cluster := pgtest.New(t, nil)
	url := cluster.Database(t)
	db := open(t, url)
	in, _ := startInbox(t, db, func(context.Context, core.Envelope) error {
		return context.DeadlineExceeded // stays in the inbox
	}, InboxOptions{Logger: slog.New(slog.DiscardHandler), Backoff: func(int) time.Duration { return time.Hour }})

	stop := make(chan struct{})
	var mu sync.Mutex
	var acked []string
	var wg sync.WaitGroup
	for range putters {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%016x", rand.Uint64())
				if in.Put(t.Context(), newEnvelope(id, `{"n":1}`)) == nil {
					mu.Lock()
					acked = append(acked, id)
					mu.Unlock()
				}
			}
		})
	}
	for range 3 {
		mu.Lock()
		n := len(acked)
		mu.Unlock()
		for more := 0; more < 200; {
			time.Sleep(5 * time.Millisecond)
			mu.Lock()
			more = len(acked) - n
			mu.Unlock()
		}
		if err := cluster.Stop(pgtest.Immediate); err != nil {
			t.Error(err)
		}
		if err := cluster.Start(); err != nil {
			t.Fatal(err)
		}
	}
	close(stop)
	wg.Wait()
	checkPresent(t, url, acked)
	t.Logf("3 stops, %d acknowledged, none lost", len(acked))
}
