//go:build !mutations

package fault

// Mutated marks a rule that can be broken on purpose, to show that a test
// notices. In a program built with the tag mutations it reports whether
// SERVERURL_MUTATION names the rule. Otherwise it is false, and the compiler
// removes what it guards.
func Mutated(string) bool { return false }
