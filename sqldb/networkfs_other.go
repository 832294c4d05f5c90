//go:build !linux

package sqldb

// networkFS returns "": this system is not supported.
func networkFS(string) string { return "" }
