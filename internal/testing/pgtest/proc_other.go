//go:build !linux

package pgtest

import "syscall"

// attributes returns those of the server's process.
func attributes() *syscall.SysProcAttr { return nil }

// chown gives the directory to the user that the server runs as, which is the current one.
func chown(string) error { return nil }
