// Package fault breaks a program on purpose, so that a test can show that it
// would notice. Everything in it needs a build tag. Without the tag it compiles
// to nothing, so no deployed program contains it.
//
// With the tag failpoints a process kills itself at a named place. With the tag
// mutations a named rule is not followed:
//
//	fault.Point("after put")
//	if fault.Mutated("ack-before-put") { ... }
package fault
