package calls

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// What somebody did to what is kept.
const (
	AuditRedrive          = "dead letter replayed"
	AuditDeleteDeadLetter = "dead letter dropped"
	AuditViewDeadLetter   = "dead letter shown"
	AuditView             = "call shown unmasked"
	AuditDelete           = "call deleted"
	AuditExport           = "call exported"
	AuditHold             = "call held"
	AuditReleaseHold      = "hold ended"
)

// An AuditEntry is one line of the journal of what people did to what is kept. It
// names calls by a digest, so that it may outlive them: who knows a call's id
// can find its lines, and nobody can read the id from them.
type AuditEntry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"who"` // as the operator's machine has it
	Action string    `json:"what"`
	Call   string    `json:"call,omitempty"` // AuditCallRef of its id
	Detail string    `json:"note,omitempty"` // a code of ours, never a text of others
}

// AuditCallRef is what stands for a call in the journal; "" for no call.
func AuditCallRef(id event.CallID) string {
	if id == "" {
		return ""
	}
	return callstate.Digest("audit", string(id))[:24]
}

// AuditPosition returns the position from which [ReadAudit] returns the entries
// written at t and later.
func AuditPosition(t time.Time) string { return fmt.Sprintf("%013d", max(0, t.UnixMilli())) }

// WriteAudit adds a line. It is written before what it tells of is done. At is
// now where it is zero.
func WriteAudit(ctx context.Context, s records.Store, a AuditEntry) error {
	if a.At.IsZero() {
		a.At = time.Now()
	}
	a.At, a.Actor = a.At.UTC(), cmp.Or(a.Actor, "unknown")
	value, err := json.Marshal(a)
	if err != nil {
		return errors.New("core: a line of the journal cannot be encoded")
	}
	key := callstate.AuditDir + "/" + AuditPosition(a.At) + "-" + rand.Text()[:12]
	return s.Commit(ctx, records.Record{Key: key, Value: value})
}

// ReadAudit returns up to limit lines from the position given, oldest first, and
// the position to go on from: "" at the start, and "" when there are no more.
func ReadAudit(ctx context.Context, s records.Store, after string, limit int) (lines []AuditEntry, next string, err error) {
	recs, err := s.Range(ctx, callstate.AuditDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, r := range recs {
		_, next, _ = records.SplitKey(r.Key)
		var a AuditEntry
		if json.Unmarshal(r.Value, &a) != nil {
			return nil, "", callstate.ErrBadRecord
		}
		lines = append(lines, a)
	}
	if len(recs) < limit {
		next = ""
	}
	return lines, next, nil
}
