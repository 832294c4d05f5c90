package main

import (
	"os"
	"syscall"
)

// attributes end a process with the thread that started it, should the chaos
// itself be killed.
func attributes() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }

func pause(p *os.Process) error   { return p.Signal(syscall.SIGSTOP) }
func carryOn(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
