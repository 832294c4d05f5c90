//go:build !linux

package emulate

import "syscall"

func attributes() *syscall.SysProcAttr { return nil }
