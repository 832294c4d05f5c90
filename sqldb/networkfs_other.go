//go:build !linux

package sqldb

// networkDisk cannot tell on this system.
func networkDisk(string) string { return "" }
