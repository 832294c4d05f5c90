//go:build !linux

package pgtest

import "syscall"

// attributes are those of the server's process.
func attributes() *syscall.SysProcAttr { return nil }

// chown gives the directory to the user that the server will run as: us.
func chown(string) error { return nil }
