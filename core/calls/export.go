package calls

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An ExportedCall is everything that is stored of one call, to hand to the
// person whom it concerns. Lists are never nil.
type ExportedCall struct {
	Call       Summary             `json:"call"`
	Ended      event.EndReason     `json:"endReason,omitempty"`
	Messages   []jsontext.Value    `json:"messages"`         // the latest conversation, as sent
	Report     jsontext.Value      `json:"report,omitempty"` // the body of the end-of-call-report
	Tools      []ToolRun           `json:"tools"`
	Requests   []StoredToolRequest `json:"requests"`   // recorded tool requests, oldest first
	Events     []StoredEvent       `json:"events"`     // with their bodies, secrets redacted
	Duplicates []EventArrival      `json:"duplicates"` // events that arrived again, without bodies
	Audit      []AuditEntry        `json:"audit"`
}

// Export returns everything that is stored of a call, or [ErrNotFound]. It
// covers each directory that [Delete] deletes.
func Export(ctx context.Context, s records.Store, id event.CallID) (ExportedCall, error) {
	c, err := Read(ctx, s, id)
	if err != nil {
		return ExportedCall{}, err
	}
	e := ExportedCall{Call: c.Summary, Ended: c.EndReason, Report: c.Report, Tools: c.Tools,
		Messages: []jsontext.Value{}, Requests: []StoredToolRequest{}, Events: []StoredEvent{}, Duplicates: []EventArrival{}, Audit: []AuditEntry{}}
	if e.Tools == nil {
		e.Tools = []ToolRun{}
	}
	v, err := callstate.ReadTranscript(ctx, s, id)
	if err != nil {
		return ExportedCall{}, err
	}
	e.Messages = append(e.Messages, callstate.RawMessages(v.Current)...)
	for r, err := range Events(ctx, s, id) {
		if err != nil {
			return ExportedCall{}, err
		}
		e.Events = append(e.Events, r)
	}
	requests, err := ToolRequests(ctx, s, id)
	if err != nil {
		return ExportedCall{}, err
	}
	e.Requests = append(e.Requests, requests...)
	duplicates, err := Duplicates(ctx, s, id)
	if err != nil {
		return ExportedCall{}, err
	}
	e.Duplicates = append(e.Duplicates, duplicates...)
	e.Audit, err = auditOf(ctx, s, id, e.Audit)
	return e, err
}

// auditOf appends the audit log's lines about a call. The log has no index by
// call: it is short, and an export is rare.
func auditOf(ctx context.Context, s records.Store, id event.CallID, to []AuditEntry) ([]AuditEntry, error) {
	for after := ""; ; {
		lines, next, err := ReadAudit(ctx, s, after, 500)
		if err != nil {
			return to, err
		}
		for _, a := range lines {
			if a.Call == AuditCallRef(id) {
				to = append(to, a)
			}
		}
		if after = next; after == "" {
			return to, nil
		}
	}
}
