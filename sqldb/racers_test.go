package sqldb

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/serverurl/serverurl/core/records"
)

// racerEnv makes the test binary a racer, and names its database.
const racerEnv = "SERVERURL_TEST_RACER"

const (
	racerProcesses  = 4
	racersInProcess = 10
)

// runRacer is the child: for each key that it reads, ten goroutines commit, and
// it answers how many won and how many were stale.
func runRacer(in io.Reader, out io.Writer) error {
	write, read, d, err := openDB(os.Getenv(racerEnv))
	if err != nil {
		return err
	}
	defer write.Close()
	s := NewStore(write, read, d)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		var key string
		var version int64
		if _, err := fmt.Sscan(lines.Text(), &key, &version); err != nil {
			return err
		}
		errs := make([]error, racersInProcess)
		var wg sync.WaitGroup
		for i := range errs {
			wg.Go(func() {
				errs[i] = s.Commit(context.Background(),
					records.Record{Key: key, Value: strconv.AppendInt(nil, int64(i), 10), Version: version},
					records.Record{Key: fmt.Sprintf("%s-%d-%d", key, os.Getpid(), i), Value: []byte("witness")})
			})
		}
		wg.Wait()
		won, lost := 0, 0
		for _, err := range errs {
			switch {
			case err == nil:
				won++
			case errors.Is(err, records.ErrStale):
				lost++
			default:
				fmt.Fprintln(os.Stderr, cause(err))
			}
		}
		fmt.Fprintln(out, won, lost)
	}
	return lines.Err()
}

func TestRacersInProcesses(t *testing.T) {
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	eachStoreEngine(t, func(t *testing.T, where string) {
		s := openStore(t, where)
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		type child struct {
			in  io.WriteCloser
			out *bufio.Scanner
		}
		var children []child
		for range racerProcesses {
			cmd := exec.CommandContext(t.Context(), self)
			cmd.Env = append(os.Environ(), racerEnv+"="+where)
			cmd.Stderr = os.Stderr
			in, err := cmd.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				in.Close()
				if err := cmd.Wait(); err != nil {
					t.Errorf("racer: %v", err)
				}
			}()
			children = append(children, child{in, bufio.NewScanner(out)})
		}
		witnesses := 0
		for round := range rounds {
			key := fmt.Sprintf("race/%d", round/2) // created, then updated
			rs, err := s.Get(t.Context(), key)
			if err != nil {
				t.Fatal(cause(err))
			}
			for _, c := range children {
				fmt.Fprintln(c.in, key, rs[0].Version)
			}
			won, lost := 0, 0
			for _, c := range children {
				if !c.out.Scan() {
					t.Fatalf("round %d: a racer ended", round)
				}
				var w, l int
				if _, err := fmt.Sscan(c.out.Text(), &w, &l); err != nil {
					t.Fatal(err)
				}
				won, lost = won+w, lost+l
			}
			if won != 1 || won+lost != racerProcesses*racersInProcess {
				t.Fatalf("round %d: %d won, %d were stale; want 1 and the rest of %d", round, won, lost, racerProcesses*racersInProcess)
			}
			witnesses++
		}
		found, err := s.Range(t.Context(), "race", "", 10*rounds)
		if err != nil {
			t.Fatal(cause(err))
		}
		if got := len(found) - (rounds+1)/2; got != witnesses {
			t.Errorf("%d witnesses of %d wins: a loser left something, or a winner's commit is not whole", got, witnesses)
		}
	})
}
