// Package coretest holds the suites that every engine of a [core.Processor]
// must pass, and stand-ins for those engines in tests.
//
// A room that brings a store runs the suite on a fresh one for each case:
//
//	func TestStore(t *testing.T) {
//		coretest.Store(t, coretest.Traits{}, func(t *testing.T) records.Store { return openTestTable(t) })
//	}
//
// Each case names the promise that it checks and prints it when it is broken.
// What an engine cannot do it declares in its traits; the cases are then
// skipped aloud and counted, never silently.
//
// A test of code above a store takes a [MemoryStore]: it reads [time.Now], so
// a testing/synctest bubble moves its clock, and it fails when told to.
//
// This package imports testing. No deployed binary imports it.
package coretest
