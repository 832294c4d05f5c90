//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

var errNoPause = errors.New("processes are paused on Linux only")

func pause(*os.Process) error   { return errNoPause }
func carryOn(*os.Process) error { return errNoPause }
