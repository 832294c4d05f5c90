package proc

import "syscall"

// Attributes are those that Windows gives by itself.
func Attributes() *syscall.SysProcAttr { return nil }
