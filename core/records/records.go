package records

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// What every Store must take, and what a Processor never goes beyond. The
// figures fit the smallest engine we support: DynamoDB's item of 400 kB and
// transaction of 4 MB and 100 items. Larger things are written as several
// records by the Processor, so that no engine has to split.
const (
	MaxRecordBytes   = 256 << 10 // bytes of one Record's Value
	MaxCommitBytes   = 2 << 20   // bytes of all Values in one Commit
	MaxCommitRecords = 25        // records in one Commit
	MaxKeyBytes      = 512       // bytes of a Key
)

// ErrStale reports that a record is not at the version the writer saw, and
// that the Commit changed nothing. Read again and decide again.
var ErrStale = errors.New("core: record has changed")

// A Record is one value in a Store.
type Record struct {
	// Key is a directory and a name with a slash between them; the directory
	// may hold slashes, the name may not. Directory and name are valid UTF-8
	// without control characters, neither is empty.
	Key string

	// Value is opaque to the Store. In a Commit, a nil Value deletes.
	Value []byte

	// Version is set by the Store and never repeats for a key. Zero means that
	// there is no such record.
	Version int64

	// Age is how long ago the record was written, by the Store's own clock
	// where it has one, so that two instances with different clocks agree.
	// Read only: Commit ignores it.
	Age time.Duration

	// Expires is when the record ends; zero is never. Fractions of a second are
	// cut off. From then on the record is as good as absent to Get, Range and
	// Commit, whether or not the engine has swept it away.
	Expires time.Time
}

// A Store keeps small records by key. Every engine passes coretest.Store. In
// short: a Commit is seen whole or not at all, survives a crash once it
// returns nil, and fails with ErrStale, changing nothing, when any record is
// not at the Version given. Reads see every Commit that returned before they
// began: no replicas, no caches. Methods may be called concurrently. Slices
// are not kept after return, by either side.
//
// Errors other than ErrStale leave it open whether a Commit happened: the
// caller reads again.
type Store interface {
	// Get returns the records at the keys, in their order; an absent one has
	// its Key and nothing else. Each record is whole; several are not one
	// snapshot.
	Get(ctx context.Context, keys ...string) ([]Record, error)

	// Range returns up to limit records of one directory whose names come
	// after the name given ("" is from the start), in byte order of names. A
	// limit of zero or less returns nothing.
	Range(ctx context.Context, dir, after string, limit int) ([]Record, error)

	// Commit writes all records, each on condition that it is at its Version
	// (zero: that there is none), or deletes those with a nil Value. A key may
	// stand only once in a Commit.
	Commit(ctx context.Context, rs ...Record) error
}

// SplitKey returns the directory and the name of a record's key, or an error
// when it is not a key. Stores use it to check what they are given.
func SplitKey(key string) (dir, name string, err error) {
	i := strings.LastIndexByte(key, '/')
	if i <= 0 || i == len(key)-1 || len(key) > MaxKeyBytes || !utf8.ValidString(key) ||
		strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", fmt.Errorf("core: bad record key of %d bytes", len(key))
	}
	return key[:i], key[i+1:], nil
}

// ValidateCommit returns an error when the records break a rule of Store that
// does not depend on what is stored. Stores call it first in Commit.
func ValidateCommit(rs []Record) error {
	if len(rs) > MaxCommitRecords {
		return fmt.Errorf("core: %d records in one commit, %d at most", len(rs), MaxCommitRecords)
	}
	total := 0
	for i, r := range rs {
		if _, _, err := SplitKey(r.Key); err != nil {
			return err
		}
		if len(r.Value) > MaxRecordBytes {
			return fmt.Errorf("core: record of %d bytes, %d at most", len(r.Value), MaxRecordBytes)
		}
		if r.Version < 0 || (r.Value == nil && r.Version == 0) {
			return errors.New("core: a record without a version cannot be deleted")
		}
		for _, other := range rs[:i] {
			if other.Key == r.Key {
				return errors.New("core: a key stands twice in one commit")
			}
		}
		total += len(r.Value)
	}
	if total > MaxCommitBytes {
		return fmt.Errorf("core: commit of %d bytes, %d at most", total, MaxCommitBytes)
	}
	return nil
}
