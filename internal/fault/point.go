//go:build !failpoints

package fault

// Point marks a place where a process may die without breaking a promise. In
// a program built with the tag failpoints it kills the process if
// SERVERURL_FAILPOINT names the place. Otherwise it does nothing.
func Point(string) {}
