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

// The host's side of these is in js/instance.mjs. None of them waits: an
// operation is begun, and that it has ended is read from a file.

//go:wasmimport serverurl begin
func hostBegin(frame unsafe.Pointer, n uint32) (id uint32)

//go:wasmimport serverurl end
func hostEnd(id uint32, into unsafe.Pointer)

//go:wasmimport serverurl request
func hostRequest(into unsafe.Pointer)

//go:wasmimport serverurl answer
func hostAnswer(frame unsafe.Pointer, n uint32)

// endings is the file of operations that have ended. Go's own poller waits for
// it together with timers, so that a goroutine that waits for the host lets the
// others run, and a budget ends in time.
const endings = 3

// A bridge is the Host inside WASM.
type bridge struct {
	mu      sync.Mutex
	waiting map[uint32]chan<- []byte
}

// openBridge begins to read the file, as long as the instance lives.
func openBridge() *bridge {
	b := &bridge{waiting: map[uint32]chan<- []byte{}}
	if err := syscall.SetNonblock(endings, true); err != nil {
		panic("cloudflare: the WASM runs without its bridge: " + err.Error())
	}
	go b.read(os.NewFile(endings, "endings"))
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
		if c == nil { // nobody waits for it any more
			hostEnd(id, nil)
			continue
		}
		frame := make([]byte, max(1, n))
		hostEnd(id, unsafe.Pointer(unsafe.SliceData(frame)))
		c <- frame[:n]
	}
}

// Do implements Host.
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
	instanceBusy  = 1 // work goes on: no other request may have this instance
)

// run does one request: n is the length of its frame.
//
//go:wasmexport run
func run(n uint32) uint32 {
	frame := make([]byte, max(1, n))
	hostRequest(unsafe.Pointer(unsafe.SliceData(frame)))
	if !serving.do(context.Background(), frame[:n], func(answer []byte) {
		hostAnswer(unsafe.Pointer(unsafe.SliceData(answer)), uint32(len(answer)))
	}) {
		return instanceBusy
	}
	return instanceClean
}

// serving is what Serve was given. An instance has one.
var serving worker

func serve(w func(Host) worker) { serving = w(openBridge()) }
