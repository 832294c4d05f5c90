package callstate

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// Where the lines are, the oldest first.
const AuditDir = "audit"

// Where the records of a call are. A Store lists one directory at a time, so
// each thing that is listed has its own:
//
//	calls/ID            the state, small however long the call is
//	calls/ID/log/N      what each event brought, in order of arrival
//	calls/ID/blobs/...  parts of entries that are too large for one record
//	calls/ID/tools/...  the tools that were called, where the call is known
//	open/ID             the call is not done with: for Sweep
//	recent/TIME-ID      all calls, newest first
const (
	callsDir  = "calls"
	OpenDir   = "open"
	RecentDir = "recent"
)

var plainID = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

// KeyName is an id from outside as a name in a record's key: itself where it is
// plain, else a hash, because ids are opaque and must not shape a key.
func KeyName(id string) string {
	if plainID.MatchString(id) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "~" + hex.EncodeToString(sum[:20])
}

func CallKey(id event.CallID) string { return callsDir + "/" + KeyName(string(id)) }

func CallDir(id event.CallID) string { return callsDir + "/" + KeyName(string(id)) }

func OpenKey(id event.CallID) string { return OpenDir + "/" + KeyName(string(id)) }

// RecentKey sorts newer calls before older ones.
func RecentKey(id event.CallID, first time.Time) string {
	return fmt.Sprintf("%s/%013d-%s", RecentDir, max(0, 9_999_999_999_999-first.UnixMilli()), KeyName(string(id)))
}

const (
	DeletedDir = "gone" // calls that were deleted, until what came late is deleted too
	holdDir    = "hold" // calls that nothing may delete
)

func DeletedKey(id event.CallID) string { return DeletedDir + "/" + KeyName(string(id)) }

func HoldKey(id event.CallID) string { return holdDir + "/" + KeyName(string(id)) }

// Where bodies are that were authenticated and could not be understood.
const QuarantineDir = "quarantine"

func partKey(dir, name string, n int) string { return fmt.Sprintf("%s/%s-%04d", dir, name, n) }

func LogKey(id event.CallID, n int) string { return fmt.Sprintf("%s/log/%08d", CallDir(id), n) }

// Where observations are that were kept.
const RequestsDir = "requests"

// RetainKey is the record of how far retention has come.
const RetainKey = "retention/at"
