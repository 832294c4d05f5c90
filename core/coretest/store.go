package coretest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// Capabilities adapt the suite to an engine. The zero value is right for an
// engine that is fast enough for every race.
type Capabilities struct {
	// RaceIterations is how often each race is run. Default 100; set fewer for an
	// emulator on which they take seconds.
	RaceIterations int
}

// A storeCase is one promise of records.Store.
type storeCase struct {
	name  string
	why   string // the promise, printed when it is broken
	waits bool   // waits for a second of real time: runs in parallel with the others that do
	run   func(ctx context.Context, s records.Store, caps Capabilities) error
}

// storeTimeout bounds one case, so that an engine that hangs fails that case by name.
const storeTimeout = 5 * time.Minute

// Store runs the suite of [records.Store]. open returns an empty store for one
// case and cleans up with t.Cleanup; stores of several cases may be open at the
// same time.
func Store(t *testing.T, caps Capabilities, open func(t *testing.T) records.Store) {
	t.Helper()
	caps.RaceIterations = cmp.Or(caps.RaceIterations, 100)
	for _, c := range storeCases {
		t.Run(c.name, func(t *testing.T) {
			if c.waits {
				t.Parallel()
			}
			ctx, cancel := context.WithTimeout(t.Context(), storeTimeout)
			defer cancel()
			if err := c.run(ctx, open(t), caps); err != nil {
				t.Errorf("broken promise: %s\n\t%v", c.why, err)
			}
		})
	}
}

// storeCases is the contract of records.Store, one promise per line.
var storeCases = []storeCase{
	{name: "ReadYourWrites", run: readYourWrites,
		why: "Get and Range see every Commit that returned before they began; the record of an absent key has only its Key"},
	{name: "CreateConflict", run: createConflict,
		why: "of two writers that create a key, the second gets ErrStale"},
	{name: "StaleVersionRejected", run: staleVersionRejected,
		why: "an update or delete at any Version except the record's own returns ErrStale and changes nothing"},
	{name: "StaleCommitIsAtomic", run: staleCommitIsAtomic,
		why: "a rejected Commit changes no record, wherever in it the stale one is"},
	{name: "MixedCommit", run: mixedCommit,
		why: "one Commit may create, update and delete"},
	{name: "NilValueDeletes", run: nilValueDeletes,
		why: "a nil Value deletes"},
	{name: "EmptyValueIsStored", run: emptyValueIsStored,
		why: "an empty Value that is not nil is a record like any other"},
	{name: "VersionsNeverRepeat", run: versionsNeverRepeat,
		why: "a Version never repeats for a key, not even after a delete or expiry, so that a late writer is always detected"},
	{name: "GetKeepsOrder", run: getKeepsOrder,
		why: "Get returns one record per key, in the order of the keys, also for repeated keys"},
	{name: "GetManyKeys", run: getManyKeys,
		why: "Get accepts more keys, and returns more bytes, than one request of the engine allows"},
	{name: "RangeOrder", run: rangeOrder,
		why: "Range returns names in byte order, after the given name, up to the limit"},
	{name: "RangeOneDirectory", run: rangeOneDirectory,
		why: "Range returns the direct children of exactly one directory"},
	{name: "RangePages", run: rangePages,
		why: "reading a directory page by page returns every record once, however large the records are"},
	{name: "NamesAreExact", run: namesAreExact,
		why: "names that differ in one byte are different records; no character is special"},
	{name: "ValuesAreExact", run: valuesAreExact,
		why: "a Value is returned byte for byte, whatever the bytes"},
	{name: "LargestRecord", run: largestRecord,
		why: "a Value of MaxRecordBytes is accepted, one byte more is rejected"},
	{name: "LargestCommit", run: largestCommit,
		why: "a Commit of MaxCommitBytes is accepted, one byte more is rejected and changes nothing"},
	{name: "MostRecordsPerCommit", run: mostRecordsPerCommit,
		why: "a Commit of MaxCommitRecords is accepted, one more is rejected and changes nothing"},
	{name: "LongestKey", run: longestKey,
		why: "a Key of MaxKeyBytes is accepted, one byte more is rejected"},
	{name: "InvalidCommitRejected", run: invalidCommitRejected,
		why: "a Commit that records.ValidateCommit rejects returns an error that is not ErrStale, and changes nothing"},
	{name: "ExpiredIsAbsent", run: expiredIsAbsent,
		why: "a record past its Expires is absent for Get, Range and Commit"},
	{name: "ExpiredIsNotCounted", run: expiredIsNotCounted,
		why: "Range fills its limit with live records; expired ones do not count"},
	{name: "ExpiresRoundTrip", run: expiresRoundTrip,
		why: "Expires is returned to the second, zero means never, and each Commit sets it anew"},
	{name: "RecordExpires", run: recordExpires, waits: true,
		why: "once a record has expired it is absent, its Version is stale, and its key can be created"},
	{name: "AgeGrows", run: ageGrows, waits: true,
		why: "Age is the time since the last Commit of the record"},
	{name: "SlicesNotRetained", run: slicesNotRetained,
		why: "what the caller does to a slice after Commit or Get returns changes no record"},
	{name: "CanceledContext", run: canceledContext,
		why: "with a canceled context each method returns an error and changes nothing"},
	{name: "CanceledInFlight", run: canceledInFlight,
		why: "a Commit whose context ends while it is in progress is applied completely or not at all"},
	{name: "SingleWinner", run: singleWinner,
		why: "of 40 concurrent writers of one record exactly one succeeds and all others get ErrStale"},
	{name: "CrossedCommits", run: crossedCommits,
		why: "of concurrent Commits of the same records in different orders exactly one succeeds: no deadlock, no false ErrStale"},
	{name: "NoLostUpdate", run: noLostUpdate,
		why: "concurrent writers that read, modify and commit until they succeed lose no update"},
	{name: "AtomicVisibility", run: atomicVisibility,
		why: "a reader that has seen one record of a Commit sees all of it in the next read"},
}
