package stack

import (
	"path/filepath"
	"runtime"
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

// A closure of core that was inlined into a backend's function has the backend's name.
func TestOwnWithoutInlined(t *testing.T) {
	_, here, _, _ := runtime.Caller(0)
	core := filepath.Dir(filepath.Dir(filepath.Dir(here))) + "/core/"
	printed := `goroutine 8 [running]:
runtime/debug.Stack()
	runtime/debug/stack.go:26 +0x5e
panic({0x1?, 0x2?})
	runtime/panic.go:783 +0x132
example.com/desk.New.(*Processor).OnReport.func8()
	` + core + `handlers.go:150 +0x1d
example.com/desk.New.func2(...)
	/home/me/desk/desk.go:20
example.com/desk.New.(*Processor).OnError.func7()
	` + core + `handlers.go:141 +0x1d
example.com/desk.main()
	/home/me/desk/main.go:9 +0x1d
`
	if own := Own([]byte(printed)); len(own) != 1 || own[0].Place() != "desk/desk.go:20" {
		t.Errorf("%+v", own)
	}
	if IsBackend("example.com/desk.New.(*Processor).OnError.func7", core+"handlers.go") {
		t.Error("a file of core is a backend's")
	}
	if !IsBackend("example.com/desk.New.func2", "/home/me/desk/core/desk.go") {
		t.Error("a file of a backend is core's")
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
