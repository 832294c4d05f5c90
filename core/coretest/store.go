package coretest

import (
	"cmp"
	"context"
	"testing"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// Traits declare what an engine cannot do. The zero value can do all that
// [records.Store] promises. A case that a trait rules out is skipped aloud.
type Traits struct {
	// OneKeyCommit says that the engine commits one record at a time. Such an
	// engine is no records.Store for a Processor; the rest of the suite is still
	// worth its run while one is being written.
	OneKeyCommit bool

	// InstanceClock says that the engine has no clock of its own: Age and the
	// end of a record are by the clock of the instance that asks, so that two
	// instances disagree by the difference of their clocks.
	InstanceClock bool

	// Rounds is how often each race is run. Default 100; less for an emulator
	// that needs seconds for them.
	Rounds int
}

// A storeCase is one promise of records.Store.
type storeCase struct {
	name  string
	why   string // the promise, printed when it is broken
	many  bool   // needs a Commit of several records
	waits bool   // waits for a second of real time: run beside the others that do
	run   func(ctx context.Context, s records.Store, tr Traits) error
}

// storeTimeout bounds one case: an engine that hangs is a failure with a name.
const storeTimeout = 5 * time.Minute

// Store runs the suite. open returns an empty store for one case and cleans up
// by t.Cleanup; stores of different cases may be open at the same time.
func Store(t *testing.T, traits Traits, open func(t *testing.T) records.Store) {
	t.Helper()
	traits.Rounds = cmp.Or(traits.Rounds, 100)
	skipped := 0
	for _, c := range storeCases {
		if reason := c.ruledOut(traits); reason != "" {
			skipped++
			t.Run(c.name, func(t *testing.T) { t.Skipf("NOT PROMISED: %s; %s", c.why, reason) })
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if c.waits {
				t.Parallel()
			}
			ctx, cancel := context.WithTimeout(t.Context(), storeTimeout)
			defer cancel()
			if err := c.run(ctx, open(t), traits); err != nil {
				t.Errorf("broken promise: %s\n\t%v", c.why, err)
			}
		})
	}
	if skipped > 0 {
		t.Logf("%d of %d promises are not made by this engine", skipped, len(storeCases))
	}
}

// ruledOut returns why an engine with the traits is not asked.
func (c storeCase) ruledOut(tr Traits) string {
	if c.many && tr.OneKeyCommit {
		return "the engine commits one record at a time"
	}
	return ""
}

// storeCases is the contract of records.Store, a line each.
var storeCases = []storeCase{
	{name: "ReadsBack", run: readsBack,
		why: "Get and Range see a Commit that returned before they began, and an absent key has its Key and nothing else"},
	{name: "SecondCreateLoses", run: secondCreateLoses,
		why: "of two writers that create a key, the second gets ErrStale"},
	{name: "OldVersionLoses", run: oldVersionLoses,
		why: "an update or a delete at any Version but the record's own is ErrStale and changes nothing"},
	{name: "StaleChangesNothing", run: staleChangesNothing, many: true,
		why: "a refused Commit leaves every record as it was, wherever in it the stale one stands"},
	{name: "MixedCommit", run: mixedCommit, many: true,
		why: "one Commit may create, update and delete"},
	{name: "NilDeletes", run: nilDeletes,
		why: "a nil Value deletes"},
	{name: "EmptyIsKept", run: emptyIsKept,
		why: "an empty Value that is not nil is a record like any other"},
	{name: "VersionsNeverRepeat", run: versionsNeverRepeat,
		why: "a Version never repeats for a key, also after it was deleted or has expired, so that a late writer is always found out"},
	{name: "GetKeepsOrder", run: getKeepsOrder,
		why: "Get returns one record per key asked for, in their order, repeated ones too"},
	{name: "GetManyKeys", run: getManyKeys,
		why: "Get takes more keys, and returns more bytes, than one request of the engine may"},
	{name: "RangeOrder", run: rangeOrder,
		why: "Range is in byte order of names, after the name given, up to the limit"},
	{name: "RangeOneDirectory", run: rangeOneDirectory,
		why: "Range returns the direct children of exactly one directory"},
	{name: "RangePages", run: rangePages,
		why: "a directory read page by page has every record once, however large the records are"},
	{name: "NamesAreExact", run: namesAreExact,
		why: "names that differ by a byte are different records; no character has a meaning"},
	{name: "ValuesAreExact", run: valuesAreExact,
		why: "a Value comes back byte for byte, whatever the bytes"},
	{name: "LargestRecord", run: largestRecord,
		why: "a Value of MaxRecord bytes is taken, one byte more is refused"},
	{name: "LargestCommit", run: largestCommit, many: true,
		why: "a Commit of MaxCommit bytes is taken, one byte more is refused and changes nothing"},
	{name: "MostRecords", run: mostRecords, many: true,
		why: "a Commit of MaxRecords records is taken, one more is refused and changes nothing"},
	{name: "LongestKey", run: longestKey,
		why: "a Key of MaxKey bytes is taken, one byte more is refused"},
	{name: "RulesOfCommit", run: rulesOfCommit,
		why: "a Commit that breaks a rule of core.CheckCommit is refused, not with ErrStale, and changes nothing"},
	{name: "ExpiredIsAbsent", run: expiredIsAbsent,
		why: "a record past its Expires is as good as absent to Get, Range and Commit"},
	{name: "ExpiredIsNotCounted", run: expiredIsNotCounted,
		why: "Range fills its limit with records that are there; expired ones do not count"},
	{name: "ExpiresIsKept", run: expiresIsKept,
		why: "Expires comes back to the second, zero is never, and each Commit sets it anew"},
	{name: "Expires", run: expires, waits: true,
		why: "when a record's time comes it is absent, its Version is stale, and its key can be created"},
	{name: "AgeGrows", run: ageGrows, waits: true,
		why: "Age is the time since the last Commit of the record"},
	{name: "SlicesAreNotKept", run: slicesAreNotKept,
		why: "what the caller does to a slice after Commit or Get returned changes no record"},
	{name: "CancelledContext", run: cancelledContext,
		why: "a canceled context ends each method with an error and does no harm"},
	{name: "CancelledInFlight", run: cancelledInFlight, many: true,
		why: "a Commit whose context ends in the middle has happened whole or not at all"},
	{name: "OneWinner", run: oneWinner,
		why: "of 40 racers for one record exactly one wins and all others get ErrStale"},
	{name: "CrossedCommits", run: crossedCommits, many: true,
		why: "of Commits of the same records in different order exactly one wins: no deadlock, no false ErrStale"},
	{name: "NoLostUpdate", run: noLostUpdate,
		why: "writers that read, change and commit until they win lose no change"},
	{name: "SeenWhole", run: seenWhole, many: true,
		why: "who has seen one record of a Commit sees all of it in the next read"},
}
