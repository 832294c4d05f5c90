//go:build !linux

package sqlinbox

// networkDisk cannot tell on this system.
func networkDisk(string) string { return "" }
