//go:build unix

package emulate

import (
	"os"
	"syscall"
)

// An action is what is done to a process.
type action syscall.Signal

const (
	end    = action(syscall.SIGKILL)
	freeze = action(syscall.SIGSTOP)
	wake   = action(syscall.SIGCONT)
)

func send(p *os.Process, a action) error { return p.Signal(syscall.Signal(a)) }
