package stack

import (
	"runtime/debug"
	"strings"
	"testing"
)

func fail(m map[string]int) { m["x"] = 1 }

// The first own frame is where a panic began, however it was recovered.
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
	own := Own([]byte(strings.ReplaceAll(string(stack), module+"internal/stack", "example.com/clinic")))
	if len(own) < 2 || own[0].Func != "example.com/clinic.fail" || !strings.HasPrefix(own[0].Place(), "stack_test.go:") {
		t.Fatalf("%v\n%s", own, stack)
	}
	for _, f := range own {
		if !strings.HasPrefix(f.Func, "example.com/clinic.") {
			t.Errorf("not own: %+v", f)
		}
	}
}

// A program that was built with -trimpath records no folder of the toolchain.
func TestOwnTrimmed(t *testing.T) {
	const trimmed = `goroutine 8 [running]:
runtime/debug.Stack()
	runtime/debug/stack.go:26 +0x5e
github.com/serverurl/serverurl/core.(*Processor).start.func1.3()
	github.com/serverurl/serverurl@v1.0.0/core/run.go:33 +0x2a
panic({0x1?, 0x2?})
	runtime/panic.go:783 +0x132
main.book({0x1, 0x2})
	./desk.go:41 +0x1d
example.com/clinic/internal/pms.(*Client).Book(...)
	example.com/clinic/internal/pms/client.go:7
encoding/json.Marshal()
	encoding/json/encode.go:1 +0x2
sync.(*WaitGroup).Go.func1()
	sync/waitgroup.go:239 +0x25
created by github.com/serverurl/serverurl/core.(*Processor).start in goroutine 7
	github.com/serverurl/serverurl@v1.0.0/core/run.go:28 +0x1
`
	own := Own([]byte(trimmed))
	if len(own) != 2 || own[0].Place() != "desk.go:41" || own[1].Place() != "client.go:7" {
		t.Errorf("%+v", own)
	}
	for _, bad := range []string{"", "\n", "goroutine 1", "a\nb\nc\n\td"} {
		Own([]byte(bad))
	}
}
