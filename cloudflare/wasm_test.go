package cloudflare

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"

	"github.com/serverurl/serverurl/cloudflare/emulate"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
)

// An instance is the deployed WASM under wazero, a WebAssembly runtime in Go,
// with a bridge in Go in place of cloudflare/js and the test's own bindings. It is
// the quick check that needs no Node; what is deployed is tried in workerd.
type instance struct {
	t        testing.TB
	module   api.Module
	bindings Bindings

	mu      sync.Mutex
	open    map[uint32][]byte
	last    uint32
	endings chan [2]uint32
	waiting [][2]uint32 // taken from endings by a poll, not yet read

	request, answer []byte
}

// compiled is the WASM, built and compiled once.
var compiled = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "serverurl-wasm-test-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "worker.wasm")
	if err := emulate.Build(context.Background(), "..", "./cmd/cloudflare", path); err != nil {
		return nil, err
	}
	return os.ReadFile(path)
})

const wasmSecret = "0c1d8e6f5a7b42930f1e6d5c4b3a2918"

// newInstance interprets the WASM, because compiling takes longer than a test;
// with the compiler a benchmark is nearer to what workerd does.
func newInstance(t testing.TB, b Bindings, config wazero.RuntimeConfig) *instance {
	t.Helper()
	code, err := compiled()
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	in := &instance{t: t, bindings: b, open: map[uint32][]byte{}, endings: make(chan [2]uint32, 1000)}
	r := wazero.NewRuntimeWithConfig(ctx, config)
	t.Cleanup(func() { _ = r.Close(context.WithoutCancel(ctx)) })
	system := r.NewHostModuleBuilder("wasi_snapshot_preview1")
	wasi_snapshot_preview1.NewFunctionExporter().ExportFunctions(system)
	// File 3 and the waiting for it are the bridge's.
	system.NewFunctionBuilder().WithFunc(in.poll).Export("poll_oneoff")
	system.NewFunctionBuilder().WithFunc(in.read).Export("fd_read")
	system.NewFunctionBuilder().WithFunc(in.stat).Export("fd_fdstat_get")
	system.NewFunctionBuilder().WithFunc(func(context.Context, uint32, uint32) uint32 { return 0 }).Export("fd_fdstat_set_flags")
	if _, err := system.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	bridge := r.NewHostModuleBuilder("serverurl")
	bridge.NewFunctionBuilder().WithFunc(in.begin).Export("begin")
	bridge.NewFunctionBuilder().WithFunc(in.end).Export("end")
	bridge.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, into uint32) { m.Memory().Write(into, in.request) }).Export("request")
	bridge.NewFunctionBuilder().WithFunc(func(_ context.Context, m api.Module, at, n uint32) { in.answer = in.bytes(m, at, n) }).Export("answer")
	if _, err := bridge.Instantiate(ctx); err != nil {
		t.Fatal(err)
	}
	module := wazero.NewModuleConfig().WithStartFunctions("_initialize").WithEnv("SERVERURL_SECRET", wasmSecret).
		WithSysWalltime().WithSysNanotime().WithStderr(os.Stderr)
	if in.module, err = r.InstantiateWithConfig(ctx, code, module); err != nil {
		t.Fatal(err)
	}
	return in
}

func (in *instance) bytes(m api.Module, at, n uint32) []byte {
	b, ok := m.Memory().Read(at, n)
	if !ok {
		panic("out of memory's range")
	}
	return append([]byte{}, b...)
}

func (in *instance) begin(ctx context.Context, m api.Module, at, n uint32) uint32 {
	frame := in.bytes(m, at, n)
	in.mu.Lock()
	in.last++
	id := in.last
	in.mu.Unlock()
	go func() {
		result, err := in.bindings.Do(ctx, frame)
		if err != nil {
			result = nil
		}
		in.mu.Lock()
		in.open[id] = result
		in.mu.Unlock()
		in.endings <- [2]uint32{id, uint32(len(result))}
	}()
	return id
}

func (in *instance) end(_ context.Context, m api.Module, id, into uint32) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if into != 0 {
		m.Memory().Write(into, in.open[id])
	}
	delete(in.open, id)
}

func (in *instance) stat(_ context.Context, m api.Module, fd, out uint32) uint32 {
	if fd > 3 {
		return 8
	}
	m.Memory().Write(out, make([]byte, 24))
	m.Memory().WriteByte(out, 2) // a character device
	if fd == 3 {
		m.Memory().WriteByte(out+2, 4) // which does not block
	}
	return 0
}

func (in *instance) read(_ context.Context, m api.Module, fd, vectors, _, out uint32) uint32 {
	if fd != 3 {
		return 8
	}
	if len(in.waiting) == 0 {
		select {
		case e := <-in.endings:
			in.waiting = append(in.waiting, e)
		default:
			return 6
		}
	}
	at, _ := m.Memory().ReadUint32Le(vectors)
	m.Memory().WriteUint32Le(at, in.waiting[0][0])
	m.Memory().WriteUint32Le(at+4, in.waiting[0][1])
	m.Memory().WriteUint32Le(out, 8)
	in.waiting = in.waiting[1:]
	return 0
}

func (in *instance) poll(_ context.Context, m api.Module, subscriptions, events, count, out uint32) uint32 {
	var pause <-chan time.Time
	reads, clock := uint32(0), uint32(0)
	for i := range count {
		s := subscriptions + 48*i
		switch kind, _ := m.Memory().ReadByte(s + 8); kind {
		case 0:
			ns, _ := m.Memory().ReadUint64Le(s + 24)
			pause, clock = time.After(time.Duration(ns)), s
		case 1:
			reads = s
		}
	}
	from, kind := clock, byte(0)
	if reads != 0 {
		if len(in.waiting) > 0 {
			from, kind = reads, 1
		} else {
			select {
			case e := <-in.endings:
				in.waiting = append(in.waiting, e)
				from, kind = reads, 1
			case <-pause:
			}
		}
	} else if pause != nil {
		<-pause
	}
	who, _ := m.Memory().ReadUint64Le(from)
	event := make([]byte, 32)
	binary.LittleEndian.PutUint64(event, who)
	event[10] = kind
	m.Memory().Write(events, event)
	m.Memory().WriteUint32Le(out, 1)
	return 0
}

// do handles an invocation and returns the reply to it.
func (in *instance) do(d invocation, body string) (reply, string) {
	in.t.Helper()
	frame, err := encodeFrame(d, []byte(body))
	if err != nil {
		in.t.Fatal(err)
	}
	in.request, in.answer = frame, nil
	if _, err := in.module.ExportedFunction("run").Call(in.t.Context(), uint64(len(frame))); err != nil {
		in.t.Fatal(err)
	}
	var r reply
	rest, err := decodeFrame(in.answer, &r)
	if err != nil {
		in.t.Fatal(err)
	}
	return r, string(rest)
}

// memoryBindings are a queue in memory, and a database that is down.
type memoryBindings struct {
	mu    sync.Mutex
	queue [][]byte
}

// Do implements Bindings.
func (h *memoryBindings) Do(_ context.Context, frame []byte) ([]byte, error) {
	var op operation
	body, err := decodeFrame(frame, &op)
	if err != nil {
		return nil, err
	}
	if op.Op != "queue" {
		return encodeFrame(result{Error: "overloaded"})
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.queue = append(h.queue, append([]byte{}, body...))
	return encodeFrame(result{})
}

// The deployed WASM without Node: it authenticates, accepts, answers and
// delivers, one request after the other on one instance.
func TestWASM(t *testing.T) {
	host := new(memoryBindings)
	in := newInstance(t, host, wazero.NewRuntimeConfigInterpreter())
	post := func(path, secret, body string) (reply, string) {
		return in.do(invocation{Kind: "fetch", Method: "POST", Path: path, Header: [][2]string{{"x-interactly-secret", secret}, {"content-type", "application/json"}}}, body)
	}
	event := ` {"message":{"type":"hang","call":{"id":"CA1"},"note":"Zoë 😀"}}` + "\n"
	if r, said := post("/events", "wrong", event); r.Status != 401 || said != `{"error":"unauthorized"}` {
		t.Errorf("a stranger: %d %s", r.Status, said)
	}
	for n := range 3 {
		if r, said := post("/events", wasmSecret, event); r.Status != 200 || said != "{}" {
			t.Errorf("event %d: %d %s", n, r.Status, said)
		}
	}
	if len(host.queue) != 3 {
		t.Fatalf("%d messages, want 3", len(host.queue))
	}
	err := NewInbox(host, coretest.NewMemoryStore()).Deliver(t.Context(), host.queue[0], func(_ context.Context, e core.Envelope) error {
		if string(e.Body) != event || e.Call != "CA1" {
			return fmt.Errorf("%q of %q", e.Body, e.Call)
		}
		return nil
	})
	if err != nil {
		t.Errorf("the message is not the event: %v", err)
	}
	if r, said := post("/tools/opening_hours", wasmSecret, `{"day":"Monday"}`); r.Status != 200 || !strings.Contains(said, `"result"`) {
		t.Errorf("tool: %d %s", r.Status, said)
	}
	// The database is down: the caller hears a sentence, the message is redelivered.
	if r, said := post("/tools/my_appointments", wasmSecret, `{"phone":"+14155550100","name":"Sam Rivera"}`); r.Status != 200 || !strings.Contains(said, `"result"`) {
		t.Errorf("tool without a database: %d %s", r.Status, said)
	}
	if r, _ := in.do(invocation{Kind: "message", Attempts: 1}, string(host.queue[0])); r.Done || r.Delay < 1 {
		t.Errorf("delivery without a database: %+v", r)
	}
	if r, _ := in.do(invocation{Kind: "none"}, ""); r.Status != 503 {
		t.Errorf("an unknown kind: %+v", r)
	}
}

// BenchmarkWASM is an event that is accepted, one after the other on one
// instance, and how much memory that instance has in the end.
func BenchmarkWASM(b *testing.B) {
	for _, size := range []int{2_000, 200_000} {
		b.Run(fmt.Sprintf("%dkB", size/1000), func(b *testing.B) {
			host := new(memoryBindings)
			in := newInstance(b, host, wazero.NewRuntimeConfigCompiler())
			body := fmt.Sprintf(`{"message":{"type":"conversation-update","call":{"id":"CA1","status":"ongoing"},"messages":[{"messageId":"1","role":"user","text":"%s"}]}}`,
				strings.Repeat("An answer. ", (size-150)/11))
			d := invocation{Kind: "fetch", Method: "POST", Path: "/events", Header: [][2]string{{"x-interactly-secret", wasmSecret}}}
			in.do(d, body)
			b.SetBytes(int64(len(body)))
			for b.Loop() {
				if r, said := in.do(d, body); r.Status != 200 && size < maxMessageBytes {
					b.Fatal(r.Status, said)
				}
				host.queue = nil
			}
			b.ReportMetric(float64(in.module.Memory().Size())/(1<<20), "MB")
		})
	}
}
