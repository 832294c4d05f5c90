// Package coretest holds the conformance suites that every engine of a
// [core.Processor] passes, and in-memory doubles for tests of code above them.
// It imports testing, so no deployed binary imports it.
//
// A package that implements [records.Store] or [core.Inbox] runs the suite on
// a fresh instance per case:
//
//	func TestStore(t *testing.T) {
//		coretest.Store(t, coretest.Capabilities{}, func(t *testing.T) records.Store {
//			return openTestTable(t)
//		})
//	}
//
//	func TestInbox(t *testing.T) {
//		coretest.Inbox(t, coretest.InboxCapabilities{}, func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
//			return startTestQueue(t, deliver)
//		})
//	}
//
// Each case states the promise that it checks and prints it on failure. What
// cannot be checked on an engine is declared in its capabilities; those cases
// are skipped with the reason and counted, never silently.
//
// Tests of code above a store use a [MemoryStore]. It reads [time.Now], so a
// testing/synctest bubble controls its clock, and its hooks inject failures.
package coretest
