package emulate

import "syscall"

// attributes end a process with this one, also when it is frozen.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
