//go:build wasip1

package cloudflare

import (
	"context"
	"encoding/binary"
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"
)

// The other side of these is in js/instance.mjs. None of them waits: an
// operation is begun, and its completion is read from a file.

//go:wasmimport serverurl begin
func hostBegin(frame unsafe.Pointer, n uint32) (id uint32)

//go:wasmimport serverurl end
func hostEnd(id uint32, into unsafe.Pointer)

//go:wasmimport serverurl request
func hostRequest(into unsafe.Pointer)

//go:wasmimport serverurl answer
func hostAnswer(frame unsafe.Pointer, n uint32)

// completions is the file of operations that have ended. Go's own poller waits
// for it together with timers, so that a goroutine that waits for an operation
// lets the others run, and a timeout is on time.
const completions = 3

// A bridge is the Bindings inside WASM.
type bridge struct {
	mu      sync.Mutex
	waiting map[uint32]chan<- []byte
}

// openBridge starts to read the file, as long as the instance lives.
func openBridge() *bridge {
	b := &bridge{waiting: map[uint32]chan<- []byte{}}
	if err := syscall.SetNonblock(completions, true); err != nil {
		panic("cloudflare: the WASM runs without its bridge: " + err.Error())
	}
	go b.read(os.NewFile(completions, "completions"))
	return b
}

func (b *bridge) read(f *os.File) {
	for {
		var ended [8]byte // id and length of the result
		if _, err := io.ReadFull(f, ended[:]); err != nil {
			panic("cloudflare: the bridge is broken")
		}
		id, n := binary.LittleEndian.Uint32(ended[:]), binary.LittleEndian.Uint32(ended[4:])
		b.mu.Lock()
		c := b.waiting[id]
		delete(b.waiting, id)
		b.mu.Unlock()
		if c == nil { // its caller no longer waits
			hostEnd(id, nil)
			continue
		}
		frame := make([]byte, max(1, n))
		hostEnd(id, unsafe.Pointer(unsafe.SliceData(frame)))
		c <- frame[:n]
	}
}

// Do implements Bindings.
func (b *bridge) Do(ctx context.Context, frame []byte) ([]byte, error) {
	ended := make(chan []byte, 1)
	b.mu.Lock()
	id := hostBegin(unsafe.Pointer(unsafe.SliceData(frame)), uint32(len(frame)))
	b.waiting[id] = ended
	b.mu.Unlock()
	select {
	case reply := <-ended:
		return reply, nil
	case <-ctx.Done():
		b.mu.Lock()
		delete(b.waiting, id)
		b.mu.Unlock()
		return nil, context.Cause(ctx)
	}
}

// Results of run, for js/pool.mjs.
const (
	instanceClean = 0
	instanceBusy  = 1 // work goes on: the instance must not get another request
)

// run handles one invocation: n is the length of its frame.
//
//go:wasmexport run
func run(n uint32) uint32 {
	frame := make([]byte, max(1, n))
	hostRequest(unsafe.Pointer(unsafe.SliceData(frame)))
	if !serving.run(context.Background(), frame[:n], func(answer []byte) {
		hostAnswer(unsafe.Pointer(unsafe.SliceData(answer)), uint32(len(answer)))
	}) {
		return instanceBusy
	}
	return instanceClean
}

// serving is the worker of the instance.
var serving worker

func serve(w func(Bindings) worker) { serving = w(openBridge()) }
