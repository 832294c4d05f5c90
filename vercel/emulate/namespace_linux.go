package emulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"syscall"
	"unsafe"
)

// A namespace is a network of its own, with nothing but loopback in it, and a
// thread that is inside. It takes root.
type namespace struct {
	calls     chan func()
	left      chan struct{} // closed when the thread has left
	listeners []net.Listener
	work      sync.WaitGroup
	mu        sync.Mutex
	conns     map[net.Conn]bool // nil when closed
}

// canIsolate reports whether namespaces can be had.
func canIsolate() bool {
	n, err := newNamespace(nil)
	if err != nil {
		return false
	}
	n.close()
	return true
}

// newNamespace returns a network in which the addresses given, on loopback,
// lead to those of this machine.
func newNamespace(services []string) (*namespace, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("emulate: only root can give Vercel's proxy a network of its own")
	}
	n := &namespace{calls: make(chan func()), left: make(chan struct{}), conns: map[net.Conn]bool{}}
	entered := make(chan error, 1)
	go func() {
		defer close(n.left)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := errors.Join(syscall.Unshare(syscall.CLONE_NEWNET))
		if err == nil {
			err = loopbackUp()
		}
		entered <- err
		if err != nil {
			return
		}
		for f := range n.calls {
			f()
		}
	}()
	if err := <-entered; err != nil {
		<-n.left
		return nil, fmt.Errorf("emulate: a network of its own: %w", err)
	}
	for _, addr := range services {
		if err := n.forward(addr); err != nil {
			n.close()
			return nil, fmt.Errorf("emulate: %w", err)
		}
	}
	return n, nil
}

// loopbackUp switches the interface lo on.
func loopbackUp() error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_DGRAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer syscall.Close(fd)
	var request struct {
		name  [syscall.IFNAMSIZ]byte
		flags uint16
		_     [22]byte
	}
	copy(request.name[:], "lo")
	request.flags = syscall.IFF_UP | syscall.IFF_RUNNING
	if _, _, no := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), syscall.SIOCSIFFLAGS, uintptr(unsafe.Pointer(&request))); no != 0 {
		return no
	}
	return nil
}

// do runs f inside.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { defer close(done); f() }
	<-done
}

// start starts a process inside, as the first of a process namespace, so that
// what it has started ends with it.
func (n *namespace) start(cmd *exec.Cmd, exited chan struct{}) (err error) {
	cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWPID
	n.do(func() { err = cmd.Start() })
	if err != nil {
		close(exited)
		return err
	}
	go func() { defer close(exited); _ = cmd.Wait() }()
	return nil
}

// dial dials an address inside.
func (n *namespace) dial(ctx context.Context, network, addr string) (conn net.Conn, err error) {
	n.do(func() { conn, err = new(net.Dialer).DialContext(ctx, network, addr) })
	return conn, err
}

// forward makes an address inside lead to the same one outside.
func (n *namespace) forward(addr string) (err error) {
	var l net.Listener
	n.do(func() { l, err = net.Listen("tcp", addr) })
	if err != nil {
		return err
	}
	n.listeners = append(n.listeners, l)
	n.work.Go(func() {
		for {
			inside, err := l.Accept()
			if err != nil {
				return
			}
			n.work.Go(func() { n.join(inside, addr) })
		}
	})
	return nil
}

func (n *namespace) join(inside net.Conn, addr string) {
	defer inside.Close()
	outside, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer outside.Close()
	if !n.hold(inside, outside) {
		return
	}
	defer n.drop(inside, outside)
	var both sync.WaitGroup
	both.Go(func() { _, _ = io.Copy(outside, inside); outside.Close(); inside.Close() })
	both.Go(func() { _, _ = io.Copy(inside, outside); outside.Close(); inside.Close() })
	both.Wait()
}

func (n *namespace) hold(conns ...net.Conn) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conns == nil {
		return false
	}
	for _, c := range conns {
		n.conns[c] = true
	}
	return true
}

func (n *namespace) drop(conns ...net.Conn) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range conns {
		delete(n.conns, c)
	}
}

// close ends the thread and what is forwarded. The processes inside have ended.
func (n *namespace) close() {
	for _, l := range n.listeners {
		_ = l.Close()
	}
	n.mu.Lock()
	for c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
	n.mu.Unlock()
	n.work.Wait()
	close(n.calls)
	<-n.left
}
