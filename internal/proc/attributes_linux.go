package proc

import "syscall"

// Attributes put a process at the head of a group of its own, and end it with
// the thread that starts it, also when it is frozen.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
