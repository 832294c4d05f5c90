package core

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// What somebody did to what is kept.
const (
	AuditReplay = "dead letter replayed"
	AuditDrop   = "dead letter dropped"
	AuditShow   = "dead letter shown"
	AuditView   = "call shown unmasked"
	AuditDelete = "call deleted"
	AuditExport = "call exported"
	AuditHold   = "call held"
	AuditFree   = "hold ended"
)

// An Audit is one line of the journal of what people did to what is kept. It
// names calls by a digest, so that it may outlive them: who knows a call's id
// can find its lines, and nobody can read the id from them.
type Audit struct {
	At   time.Time `json:"at"`
	Who  string    `json:"who"` // as the operator's machine has it
	What string    `json:"what"`
	Call string    `json:"call,omitempty"` // AuditName of its id
	Note string    `json:"note,omitempty"` // a code of ours, never a text of others
}

// Where the lines are, the oldest first.
const auditDir = "audit"

// AuditName is what stands for a call in the journal; "" for no call.
func AuditName(id CallID) string {
	if id == "" {
		return ""
	}
	return digest("audit", string(id))[:24]
}

// AuditPosition returns the position at which [ReadAudit] reads what was done
// at t and later.
func AuditPosition(t time.Time) string { return fmt.Sprintf("%013d", max(0, t.UnixMilli())) }

// WriteAudit adds a line. It is written before what it tells of is done. At is
// now where it is zero.
func WriteAudit(ctx context.Context, s Store, a Audit) error {
	if a.At.IsZero() {
		a.At = time.Now()
	}
	a.At, a.Who = a.At.UTC(), cmp.Or(a.Who, "unknown")
	value, err := json.Marshal(a)
	if err != nil {
		return errors.New("core: a line of the journal cannot be encoded")
	}
	key := auditDir + "/" + AuditPosition(a.At) + "-" + randomID()[:12]
	return s.Commit(ctx, Record{Key: key, Value: value})
}

// ReadAudit returns up to limit lines from the position given, oldest first, and
// the position to go on from: "" at the start, and "" when there are no more.
func ReadAudit(ctx context.Context, s Store, after string, limit int) (lines []Audit, next string, err error) {
	recs, err := s.Range(ctx, auditDir, after, limit)
	if err != nil {
		return nil, "", err
	}
	for _, r := range recs {
		_, next, _ = SplitKey(r.Key)
		var a Audit
		if json.Unmarshal(r.Value, &a) != nil {
			return nil, "", errBadRecord
		}
		lines = append(lines, a)
	}
	if len(recs) < limit {
		next = ""
	}
	return lines, next, nil
}
