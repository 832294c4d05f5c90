//go:build !failpoints

package core

// failpoint marks a place where a process may die without breaking a promise.
// Built with the tag failpoints, it dies there when it is told to; tests use
// that. Otherwise it is nothing.
func failpoint(string) {}
