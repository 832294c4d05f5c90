//go:build unix && !linux

package proc

import "syscall"

// Attributes put a process at the head of a group of its own.
func Attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
