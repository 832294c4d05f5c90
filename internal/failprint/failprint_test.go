package failprint

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/screen"
)

const panicked = `goroutine 8 [running]:
runtime/debug.Stack()
	/usr/local/go/src/runtime/debug/stack.go:26 +0x5e
github.com/serverurl/serverurl/core.(*Processor).start.func1.3()
	/home/me/serverurl/core/run.go:33 +0x2a
panic({0x1?, 0x2?})
	/usr/local/go/src/runtime/panic.go:783 +0x132
example.com/clinic.book({0x1, 0x2})
	/home/me/clinic/desk.go:41 +0x1d
example.com/clinic.New.func3(...)
	/home/me/clinic/desk.go:20
sync.(*WaitGroup).Go.func1()
	/usr/local/go/src/sync/waitgroup.go:239 +0x25
`

// printed is what a screen shows.
func printed(f core.Failure, color bool) string {
	var b strings.Builder
	_, _ = io.WriteString(screen.NewWriter(&b), text(f, color))
	return b.String()
}

func TestText(t *testing.T) {
	for name, c := range map[string]struct {
		failure core.Failure
		want    string
	}{
		"a panic": {
			core.Failure{Kind: core.FailureTool, Name: "book", Panic: "assignment to entry in nil map", Stack: []byte(panicked), CallTag: "5e1f0c2ab9d4"},
			"clinic/desk.go:41  tool book panicked: assignment to entry in nil map\n    call 5e1f0c2ab9d4\n" +
				"    clinic.book       /home/me/clinic/desk.go:41\n    clinic.New.func3  /home/me/clinic/desk.go:20\n",
		},
		"an error of two lines": {
			core.Failure{Kind: core.FailureHandler, Name: "clinic.New.func1", Event: "hang", Err: errors.New("pms:\nstatus 500"), Place: "desk.go:7"},
			"desk.go:7  handler clinic.New.func1 (hang) failed: pms:\n    | status 500\n",
		},
		"control sequences": {
			core.Failure{Kind: core.FailureTool, Name: "book", Err: errors.New("a\x1b[2Jb\rc")},
			"unknown place  tool book failed: a[2Jbc\n",
		},
	} {
		if got := printed(c.failure, false); got != c.want {
			t.Errorf("%s:\n%q, want\n%q", name, got, c.want)
		}
		if got := Text(c.failure); got+"\n" != c.want {
			t.Errorf("%s, for a test:\n%q, want\n%q", name, got, c.want)
		}
	}
	colored := printed(core.Failure{Kind: core.FailureTool, Name: "book", Err: errors.New("x"), Place: "desk.go:7"}, true)
	if !strings.HasPrefix(colored, "\x1b[1mdesk.go:7\x1b[0m  tool book failed: \x1b[31mx\x1b[0m\n") {
		t.Errorf("in color: %q", colored)
	}
}
