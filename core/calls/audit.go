package calls

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// What can be done to stored data, as the audit log has it. The texts are
// stored, so they do not change.
const (
	AuditRedrive          = "dead letter replayed"
	AuditDeleteDeadLetter = "dead letter dropped"
	AuditViewDeadLetter   = "dead letter shown"
	AuditView             = "call shown unmasked"
	AuditDelete           = "call deleted"
	AuditExport           = "call exported"
	AuditHold             = "call held"
	AuditReleaseHold      = "hold ended"

	AuditViewQuarantine   = "quarantined body shown"
	AuditRetryQuarantine  = "quarantined body retried"
	AuditDeleteQuarantine = "quarantined body deleted"
)

// An AuditEntry is one line of the audit log: who did what to stored data. It
// identifies a call by a digest, so that it may outlive the call: an operator who
// knows an id can find its lines, but no line gives an id away.
type AuditEntry struct {
	At     time.Time `json:"at"`
	Actor  string    `json:"who"`            // as the operator's machine or flag names them
	Action string    `json:"what"`           // AuditRedrive and so on
	Call   string    `json:"call,omitempty"` // the AuditCallRef of its id
	Detail string    `json:"note,omitempty"` // a constant of this module, never a text from outside
}

// AuditCallRef returns the digest that stands for a call in the audit log; ""
// for an empty id.
func AuditCallRef(id event.CallID) string {
	if id == "" {
		return ""
	}
	return callstate.Digest("audit", string(id))[:24]
}

// AuditPosition returns the position from which [ReadAudit] reads what was done
// at t and later.
func AuditPosition(t time.Time) string { return callstate.OldestFirst(t) }

// WriteAudit appends a line to the audit log; a zero At is now. Write it before
// doing what it records, so that nothing is done without a line.
func WriteAudit(ctx context.Context, s records.Store, a AuditEntry) error {
	if a.At.IsZero() {
		a.At = time.Now()
	}
	a.At, a.Actor = a.At.UTC(), cmp.Or(a.Actor, "unknown")
	value, err := json.Marshal(a)
	if err != nil {
		return errors.New("calls: audit entry encoding failed") // the encoder's text quotes it
	}
	return s.Commit(ctx, records.Record{Key: callstate.AuditKey(a.At), Value: value})
}

// ReadAudit returns up to limit lines after a position, oldest first, and the
// position after them. Both positions are "": the first to start at the
// beginning, the second when there are no more.
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
