package core_test

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core/calls"
)

// differing delivers three updates of n messages each, all of them different, and
// a report; then it reads and exports the call. It is the most that a merge can
// have to do.
func differing(b *backend, n int) {
	for round := range 4 {
		var ms strings.Builder
		for i := range n {
			fmt.Fprintf(&ms, `,{"text":"%c%d"}`, 'a'+round, i)
		}
		if round < 3 {
			b.event(conversation(round, ms.String()[1:]))
		} else {
			b.event(report(0, ms.String()[1:]))
		}
		b.deliver()
	}
	c := b.read(callID)
	if len(c.Transcript) != n || len(c.Superseded) != 3*n {
		b.t.Fatalf("%d messages, %d superseded", len(c.Transcript), len(c.Superseded))
	}
	if _, err := calls.Export(b.t.Context(), b.store, callID); err != nil {
		b.t.Fatal(err)
	}
}

// workSize is set where another process counts what the work of that size is.
const workSize = "SERVERURL_WORK_SIZE"

func TestWorkOfMerge(t *testing.T) {
	n, _ := strconv.Atoi(os.Getenv(workSize))
	differing(newBackend(t, nil), max(n, 10))
}

// To merge and to read a conversation takes n log n steps. The steps are counted,
// by the compiler's own counters: how often each statement of the packages that do
// the work is executed.
func TestWorkGrowsWithTheConversation(t *testing.T) {
	dir := t.TempDir()
	binary := filepath.Join(dir, "work.test")
	const counted = "github.com/serverurl/serverurl/core/...,github.com/serverurl/serverurl/internal/...,github.com/go-json-experiment/json/..."
	if out, err := exec.Command("go", "test", "-c", "-covermode=count", "-coverpkg="+counted, "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	const small, factor = 500, 8
	one, many := steps(t, binary, dir, small), steps(t, binary, dir, factor*small)
	t.Logf("%d messages: %d steps; %d messages: %d steps", small, one, factor*small, many)
	if many > one*factor*3/2 {
		t.Errorf("%d steps for %d messages, %d for %d times as many", one, small, many, factor)
	}
}

// steps counts the statements that the work of size n executes.
func steps(t *testing.T, binary, dir string, n int) (sum int64) {
	t.Helper()
	profile := filepath.Join(dir, fmt.Sprint("profile", n))
	cmd := exec.Command(binary, "-test.run", "^TestWorkOfMerge$", "-test.coverprofile", profile)
	cmd.Env = append(os.Environ(), workSize+"="+strconv.Itoa(n))
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	f, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if fields := strings.Fields(lines.Text()); len(fields) == 3 { // place, statements, count
			statements, _ := strconv.ParseInt(fields[1], 10, 64)
			count, _ := strconv.ParseInt(fields[2], 10, 64)
			sum += statements * count
		}
	}
	if sum == 0 {
		t.Fatal("nothing was counted")
	}
	return sum
}
