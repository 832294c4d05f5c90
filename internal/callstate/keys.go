package callstate

import (
	"crypto/rand"
	"fmt"
	"strings"
	"time"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// A Class says what the records of a directory are, and so what deletes them.
type Class string

// The classes, and what deletes their records.
const (
	ClassCall       Class = "call"        // deleted with the call
	ClassContent    Class = "content"     // messages, bodies, and what tools were asked and answered: purged by content retention, and with the call
	ClassTool       Class = "tool record" // of a tool that was called without a call's id: expires after 30 minutes
	ClassRequest    Class = "request"     // a recorded tool request: expires after 30 days, sooner as content of its call
	ClassQuarantine Class = "quarantine"  // deleted by its own retention
	ClassAudit      Class = "audit"       // deleted by its own retention; outlives the call, which it names by a digest
	ClassTombstone  Class = "tombstone"   // the id of a deleted call: removed by the sweep that purges the call once more
	ClassHold       Class = "hold"        // a legal hold: removed by its release
	ClassCursor     Class = "cursor"      // how far a periodic job has come: one record, never deleted
	ClassInbox      Class = "inbox"       // a large message that an inbox offloaded: expires after delivery is out of the question
	ClassApp        Class = "app"         // the app's own: the app deletes them
)

// A Directory is a place in the key space. A Store lists one directory at a
// time, so each kind of record that is listed has its own.
type Directory struct {
	// Path is the directory. The segments ID and NAME stand for any one
	// segment, "..." at the end for one or more.
	Path  string
	Class Class
	Holds string // in a few words, as docs/architecture.md has it
}

// Directories is the key space: every directory that core and the packages
// around it write. Deletion and retention walk this table, so a directory that
// is missing here would never be cleaned up; a test compares it with what the
// suites write.
var Directories = []Directory{
	{callsDir, ClassCall, "state: status, counts, digests, changes whose handlers are not done; a tombstone for 35 days after deletion"},
	{OpenDir, ClassCall, "calls with something left to do, for the sweep"},
	{RecentDir, ClassCall, "all calls, newest first"},
	{callsDir + "/ID/" + logName, ClassContent, "what each event added: its body without messages, and only new messages"},
	{callsDir + "/ID/" + blobsName, ClassContent, "parts of log entries that are too large for one record"},
	{callsDir + "/ID/" + toolsName, ClassContent, "runs of tools that change something"},
	{callsDir + "/ID/" + requestsName, ClassContent, "names of the call's recorded tool requests"},
	{callsDir + "/ID/" + earlyName, ClassContent, "what the first event said of the call, for a tool that comes before its delivery"},
	{callsDir + "/ID/" + duplicatesName, ClassContent, "events that arrived more than once"},
	{RequestsDir, ClassRequest, "recorded tool requests, newest first"},
	{toolsName + "/NAME", ClassTool, "runs of tools that were called without a call's id"},
	{QuarantineDir, ClassQuarantine, "authenticated bodies that could not be decoded: when, why, how large"},
	{QuarantineBlobsDir, ClassQuarantine, "the bodies themselves, in parts"},
	{AuditDir, ClassAudit, "the audit log, oldest first"},
	{DeletedDir, ClassTombstone, "deleted calls that are to be purged once more"},
	{holdDir, ClassHold, "calls that nothing may delete"},
	{"repair", ClassCursor, "when the list of calls was last compared"},
	{"retention", ClassCursor, "how far retention has come"},
	{"inbox/...", ClassInbox, "large messages that an inbox offloaded"},
	{AppDir + "/...", ClassApp, "the app's own records"},
}

// The names in the table above. They are stored, so they do not change.
const (
	callsDir       = "calls"
	holdDir        = "hold"
	logName        = "log"
	blobsName      = "blobs"
	toolsName      = "tools"
	requestsName   = "requests"
	earlyName      = "early"
	duplicatesName = "repeats"

	OpenDir            = "open"
	RecentDir          = "recent"
	DeletedDir         = "gone"
	QuarantineDir      = "quarantine"
	QuarantineBlobsDir = QuarantineDir + "/" + blobsName
	AuditDir           = "audit"
	RequestsDir        = "requests"
	AppDir             = "app"

	BackfillKey  = "repair/list"  // the cursor of backfill
	RetentionKey = "retention/at" // the cursor of retention
)

// ClassOf returns the class of a record's key; ok is false if no directory of
// the table has it.
func ClassOf(key string) (c Class, ok bool) {
	dir, _, err := records.SplitKey(key)
	if err != nil {
		return "", false
	}
	for _, d := range Directories {
		if d.matches(dir) {
			return d.Class, true
		}
	}
	return "", false
}

func (d Directory) matches(dir string) bool {
	want, got := strings.Split(d.Path, "/"), strings.Split(dir, "/")
	for i, segment := range want {
		switch {
		case i == len(got):
			return false
		case segment == "...":
			return true
		case segment != "ID" && segment != "NAME" && segment != got[i]:
			return false
		}
	}
	return len(want) == len(got)
}

// ofCall returns the directory of one call, or "" if it is not one per call.
func (d Directory) ofCall(id event.CallID) string {
	name, ok := strings.CutPrefix(d.Path, callsDir+"/ID/")
	if !ok {
		return ""
	}
	return CallKey(id) + "/" + name
}

// CallKey returns the key of a call's state.
func CallKey(id event.CallID) string { return callsDir + "/" + records.KeyName(string(id)) }

// LogDir returns the directory of a call's log.
func LogDir(id event.CallID) string { return CallKey(id) + "/" + logName }

// LogKey returns the key of the n-th entry of a call's log, from 1.
func LogKey(id event.CallID, n int) string { return fmt.Sprintf("%s/%08d", LogDir(id), n) }

// BlobsDir returns the directory of the parts of a call's large log entries.
func BlobsDir(id event.CallID) string { return CallKey(id) + "/" + blobsName }

// ToolsDir returns the directory of the runs of tools in a call.
func ToolsDir(id event.CallID) string { return CallKey(id) + "/" + toolsName }

// AnonymousToolsDir returns the directory of the runs of a tool in requests of a
// tenant that name no call.
func AnonymousToolsDir(tenant, tool string) string {
	if tenant != "" {
		tool = tenant + "." + tool // neither has a full stop
	}
	return toolsName + "/" + tool
}

// EarlyKey returns the key of what the first event of a call said of it.
func EarlyKey(id event.CallID) string { return CallKey(id) + "/" + earlyName + "/about" }

// ScopedID returns the id under which a tenant's call is stored. With it two
// tenants' calls are two, whatever ids their senders choose. Either all secrets
// have names or none, so no sender can choose an id that is another's.
func ScopedID(tenant string, sent event.CallID) event.CallID {
	if tenant == "" || sent == "" {
		return sent
	}
	return event.CallID(tenant) + "/" + sent
}

// SentID is the reverse of [ScopedID]: the id as the sender has it.
func SentID(tenant string, id event.CallID) event.CallID {
	if tenant == "" {
		return id
	}
	return event.CallID(strings.TrimPrefix(string(id), tenant+"/"))
}

// ToolCountName is the name of the [ToolCount] in a tools directory.
const ToolCountName = "count"

// IsToolNote reports whether a key of a tools directory is that of a [Delivery] or a
// [ToolCount], and so not of a run.
func IsToolNote(key string) bool {
	_, name, _ := records.SplitKey(key)
	return name == ToolCountName || strings.HasPrefix(name, "id-")
}

// CallRequestsDir returns the directory that names a call's recorded requests.
// Each name is also that of the request in [RequestsDir].
func CallRequestsDir(id event.CallID) string { return CallKey(id) + "/" + requestsName }

// DuplicatesDir returns the directory of a call's duplicate events.
func DuplicatesDir(id event.CallID) string { return CallKey(id) + "/" + duplicatesName }

// OpenKey returns the key under which the sweep finds a call.
func OpenKey(id event.CallID) string { return OpenDir + "/" + records.KeyName(string(id)) }

// RecentKey returns the key under which lists find a call that was first seen
// at a time.
func RecentKey(id event.CallID, firstSeen time.Time) string {
	return RecentDir + "/" + NewestFirst(firstSeen) + "-" + records.KeyName(string(id))
}

// DeletedKey returns the key of a deleted call's second tombstone, by which
// the sweep finds it.
func DeletedKey(id event.CallID) string { return DeletedDir + "/" + records.KeyName(string(id)) }

// HoldKey returns the key of a call's legal hold.
func HoldKey(id event.CallID) string { return holdDir + "/" + records.KeyName(string(id)) }

func partKey(dir, name string, n int) string { return fmt.Sprintf("%s/%s-%04d", dir, name, n) }

// NewestFirst returns the beginning of a name that sorts before those of
// earlier times, by the millisecond.
func NewestFirst(t time.Time) string {
	return fmt.Sprintf("%013d", max(0, 9_999_999_999_999-t.UnixMilli()))
}

// OldestFirst is the reverse of NewestFirst.
func OldestFirst(t time.Time) string { return fmt.Sprintf("%013d", max(0, t.UnixMilli())) }

// RequestsBefore returns the position in [RequestsDir] after which the requests
// are that were received before t.
func RequestsBefore(t time.Time) string {
	// By the microsecond: a page of requests is in the order in which they came.
	return fmt.Sprintf("%016d", max(0, 9_999_999_999_999_999-t.UnixMicro()))
}

// RequestName returns a new name in [RequestsDir] for a request received at t.
func RequestName(t time.Time) string { return RequestsBefore(t) + "-" + rand.Text()[:10] }

// AuditKey returns a new key for a line of the audit log.
func AuditKey(at time.Time) string { return AuditDir + "/" + OldestFirst(at) + "-" + rand.Text()[:12] }
