// Package fault breaks a program on purpose, so that a test can show that it
// notices. Both ways need a build tag; without it they compile to nothing, and
// no deployed program has one.
//
// With the tag failpoints a process kills itself at a named place; with the
// tag mutations a named rule is broken:
//
//	fault.Point("after put")
//	if fault.Mutated("ack before put") { ... }
package fault
