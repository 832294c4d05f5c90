package stack

import (
	"runtime/debug"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "core uses it")
	importcheck.CheckWASM(t)
}

func fail(m map[string]int) { m["x"] = 1 }

// The first own frame is where a panic began.
func TestOwn(t *testing.T) {
	var stack []byte
	func() {
		defer func() {
			_ = recover()
			stack = debug.Stack()
		}()
		fail(nil)
	}()
	// This package counts as ours; as somebody else's it is found.
	if own := Own(stack); len(own) != 0 {
		t.Errorf("of this package: %v", own)
	}
	own := Own([]byte(strings.ReplaceAll(string(stack), "github.com/serverurl/serverurl/internal/stack", "example.com/clinic")))
	if len(own) != 3 || own[0].Func != "example.com/clinic.fail" || !strings.HasPrefix(own[0].Place(), "stack/stack_test.go:") {
		t.Fatalf("%v\n%s", own, stack)
	}
}

// What core calls is the backend's, what calls core is not; with -trimpath too.
func TestOwnUpToCore(t *testing.T) {
	const printed = `goroutine 8 [running]:
runtime/debug.Stack()
	runtime/debug/stack.go:26 +0x5e
github.com/serverurl/serverurl/core.(*Processor).runSafely.func1()
	github.com/serverurl/serverurl@v1.0.0/core/run.go:33 +0x2a
panic({0x1?, 0x2?})
	runtime/panic.go:783 +0x132
github.com/serverurl/serverurl/core.HTTPResponse.JSON(...)
	github.com/serverurl/serverurl@v1.0.0/core/http.go:63
main.book({0x1, 0x2})
	./desk.go:41 +0x1d
encoding/json.Marshal()
	encoding/json/encode.go:1 +0x2
example.com/clinic/internal/pms.(*Client).Book(...)
	example.com/clinic/internal/pms/client.go:7
github.com/serverurl/serverurl/core.(*Processor).runSafely()
	github.com/serverurl/serverurl@v1.0.0/core/run.go:60 +0x2a
github.com/riverqueue/river/internal/jobexecutor.(*JobExecutor).execute()
	github.com/riverqueue/river@v0.49.0/internal/jobexecutor/job_executor.go:200 +0x1
created by github.com/serverurl/serverurl/core.(*Processor).start in goroutine 7
	github.com/serverurl/serverurl@v1.0.0/core/run.go:28 +0x1
`
	own := Own([]byte(printed))
	if len(own) != 2 || own[0].Place() != "desk.go:41" || own[1].Place() != "pms/client.go:7" || own[1].Func != "example.com/clinic/internal/pms.(*Client).Book" {
		t.Errorf("%+v", own)
	}
	for _, bad := range []string{"", "\n", "goroutine 1", "a\nb\nc\n\td", "a\nb()\n\tc:d"} {
		if own := Own([]byte(bad)); len(own) != 0 {
			t.Errorf("%q: %v", bad, own)
		}
	}
}
