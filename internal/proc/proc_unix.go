//go:build unix

package proc

import (
	"errors"
	"os"
	"syscall"
)

// An Action is what is done to a process.
type Action syscall.Signal

// The actions: kill, suspend, resume.
const (
	Kill    = Action(syscall.SIGKILL)
	Suspend = Action(syscall.SIGSTOP)
	Resume  = Action(syscall.SIGCONT)
)

// Send sends a to a process and to those that it has started.
func Send(p *os.Process, a Action) error {
	err := syscall.Kill(-p.Pid, syscall.Signal(a))
	if errors.Is(err, syscall.ESRCH) {
		return os.ErrProcessDone
	}
	return err
}
