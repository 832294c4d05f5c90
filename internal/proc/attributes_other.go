//go:build unix && !linux

package proc

import "syscall"

// Attributes start a process in a process group of its own.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
