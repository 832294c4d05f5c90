package proc

import "syscall"

// Attributes are the defaults of Windows.
func Attributes() *syscall.SysProcAttr { return nil }
