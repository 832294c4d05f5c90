package proc

import "syscall"

// Attributes start a process in a process group of its own, and kill it when the
// thread that started it ends, even if it is suspended.
func Attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
