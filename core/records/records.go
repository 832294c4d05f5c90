package records

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"
)

// What every [Store] must accept, and a Processor never exceeds. The figures
// fit the smallest engine that is supported: DynamoDB, with 400 kB in an item
// and 4 MB and 100 items in a transaction. A Processor stores larger values as
// several records, so that no engine has to split.
const (
	MaxRecordBytes   = 256 << 10 // bytes of one Record's Value
	MaxCommitBytes   = 2 << 20   // bytes of all Values in one Commit
	MaxCommitRecords = 25        // records in one Commit
	MaxKeyBytes      = 512       // bytes of a Key
)

// ErrStale is returned by a Commit that changed nothing because a record is
// not at the version that the writer read. Read again and decide again.
var ErrStale = errors.New("records: record has changed")

// A Record is one value in a [Store].
type Record struct {
	// Key is a directory and a name with a slash between them. The directory
	// may hold slashes, the name may not. Both are valid UTF-8 without control
	// characters, and neither is empty.
	Key string

	// Value is opaque to the Store. In a Commit, a nil Value deletes the record.
	Value []byte

	// Version is set by the Store and never repeats for a key. Zero means that
	// the record does not exist.
	Version int64

	// Age is how long ago the record was written, by the Store's own clock if
	// it has one, so that instances with different clocks agree about leases.
	// Commit ignores it.
	Age time.Duration

	// Expires is when the record ceases to exist; zero is never. Fractions of a
	// second are cut off. From then on Get, Range and Commit treat the record
	// as absent, whether or not the engine has removed it.
	Expires time.Time
}

// A Store holds small records by key. Every engine passes coretest.Store.
//
// A Commit is atomic: others see all of it or nothing. It is durable: once it
// has returned nil, a crash loses none of it. It is conditional: if any record
// is not at the Version given, it returns [ErrStale] and changes nothing. Get
// and Range see every Commit that returned before they began, so they read
// neither from replicas nor from caches.
//
// Methods may be called concurrently. Neither side retains the other's slices
// after a method has returned.
//
// After any error except ErrStale it is unknown whether a Commit happened: the
// caller reads again.
type Store interface {
	// Get returns the records at the keys, in their order. One that does not
	// exist has its Key and nothing else. Each record is consistent in itself;
	// several are not a snapshot.
	Get(ctx context.Context, keys ...string) ([]Record, error)

	// Range returns up to limit records of one directory whose names come
	// after the name given ("" is the start), in byte order of names. A limit
	// of zero or less returns nothing.
	Range(ctx context.Context, dir, after string, limit int) ([]Record, error)

	// Commit writes all records, each on condition that it is at its Version
	// (zero: that it does not exist), and deletes those with a nil Value. A
	// key may occur only once in a Commit.
	Commit(ctx context.Context, rs ...Record) error
}

// SplitKey returns the directory and the name of a record's key, or an error
// if it is not a valid key. Stores use it to check what they are given.
func SplitKey(key string) (dir, name string, err error) {
	i := strings.LastIndexByte(key, '/')
	if i <= 0 || i == len(key)-1 || len(key) > MaxKeyBytes || !utf8.ValidString(key) ||
		strings.ContainsFunc(key, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", "", fmt.Errorf("records: invalid key of %d bytes", len(key)) // not its text: it may hold an id
	}
	return key[:i], key[i+1:], nil
}

var plainID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// KeyName returns an id from outside as the name in a record's key: the id
// itself if it is plain, otherwise a hash of it. Ids are opaque, so one may
// hold slashes or be longer than a key.
func KeyName(id string) string {
	if plainID.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "~" + hex.EncodeToString(sum[:20])
}

// ValidateCommit returns an error if the records break a rule of [Store] that
// does not depend on what is stored. Stores call it first in Commit, so that
// all engines refuse the same commits.
func ValidateCommit(rs []Record) error {
	if len(rs) > MaxCommitRecords {
		return fmt.Errorf("records: %d records in one commit, at most %d are allowed", len(rs), MaxCommitRecords)
	}
	total := 0
	for i, r := range rs {
		if _, _, err := SplitKey(r.Key); err != nil {
			return err
		}
		if len(r.Value) > MaxRecordBytes {
			return fmt.Errorf("records: record of %d bytes, at most %d are allowed", len(r.Value), MaxRecordBytes)
		}
		if r.Version < 0 || (r.Value == nil && r.Version == 0) {
			return errors.New("records: a record without a version cannot be deleted")
		}
		for _, other := range rs[:i] {
			if other.Key == r.Key {
				return errors.New("records: a key occurs twice in one commit")
			}
		}
		total += len(r.Value)
	}
	if total > MaxCommitBytes {
		return fmt.Errorf("records: commit of %d bytes, at most %d are allowed", total, MaxCommitBytes)
	}
	return nil
}
