package calls

import (
	"context"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A QuarantinedBody is the body of an authenticated request that could not be
// decoded as an event. Events are sent once, so it is stored for an operator, and
// for a later version of the program that can decode it: the sweep of each new
// version tries all of them once (core.Processor.Sweep).
type QuarantinedBody = callstate.QuarantinedBody

// ListQuarantine returns up to limit quarantined bodies after an ID, "" for the
// first, in the order of IDs. Body is nil in all of them.
func ListQuarantine(ctx context.Context, s records.Store, after string, limit int) ([]QuarantinedBody, error) {
	return callstate.ListQuarantine(ctx, s, after, limit)
}

// ReadQuarantined returns one with its Body, or [ErrNotQuarantined]. The body is
// what somebody said: before it returns, it writes to the audit log that actor
// was shown it.
func ReadQuarantined(ctx context.Context, s records.Store, id, actor string) (QuarantinedBody, error) {
	q, err := callstate.GetQuarantined(ctx, s, id)
	if err != nil {
		return q, err
	}
	if err := auditQuarantine(ctx, s, q, actor, AuditViewQuarantine); err != nil {
		return QuarantinedBody{}, err
	}
	return q, nil
}

// DeleteQuarantined deletes one for good, or returns [ErrNotQuarantined]. Before,
// it writes to the audit log that actor did so.
func DeleteQuarantined(ctx context.Context, s records.Store, id, actor string) error {
	q, _, err := callstate.QuarantineRecord(ctx, s, id)
	if err != nil {
		return err
	}
	if err := auditQuarantine(ctx, s, q, actor, AuditDeleteQuarantine); err != nil {
		return err
	}
	return callstate.DeleteQuarantined(ctx, s, id)
}

// auditQuarantine names the reason only: the body has no call, or none that can be
// believed.
func auditQuarantine(ctx context.Context, s records.Store, q QuarantinedBody, actor, action string) error {
	return WriteAudit(ctx, s, AuditEntry{Actor: actor, Action: action, Detail: q.Reason})
}
