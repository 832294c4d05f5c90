//go:build !linux

package main

import (
	"errors"
	"os"
	"syscall"
)

func attributes() *syscall.SysProcAttr { return nil }

var errNoPause = errors.New("processes can be suspended on Linux only")

func pause(*os.Process) error  { return errNoPause }
func resume(*os.Process) error { return errNoPause }
