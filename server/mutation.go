//go:build !mutations

package server

// mutated marks a rule that can be broken on purpose, to see that a test
// notices. Built with the tag mutations, the environment breaks it. Otherwise
// it is false, and the compiler removes what it guards.
func mutated(string) bool { return false }
