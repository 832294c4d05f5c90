package calls

import (
	"context"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// An ExportedCall is all that is kept of one call, for whoever it belongs to.
type ExportedCall struct {
	Call     Summary          `json:"call"`
	Ended    event.EndReason  `json:"endReason,omitempty"`
	Messages []jsontext.Value `json:"messages"` // the conversation as it stands
	Report   jsontext.Value   `json:"report,omitempty"`
	Tools    []ToolRun        `json:"tools"`
	Events   []StoredEvent    `json:"events"` // with their bodies, masked
	Audit    []AuditEntry     `json:"audit"`
}

// Export returns all that is kept of a call, or [ErrNotFound].
func Export(ctx context.Context, s records.Store, id event.CallID) (ExportedCall, error) {
	c, err := Read(ctx, s, id)
	if err != nil {
		return ExportedCall{}, err
	}
	e := ExportedCall{Call: c.Summary, Ended: c.EndReason, Report: c.Report, Tools: c.Tools, Messages: []jsontext.Value{}, Events: []StoredEvent{}, Audit: []AuditEntry{}}
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
	for after := ""; ; {
		lines, next, err := ReadAudit(ctx, s, after, 500)
		if err != nil {
			return ExportedCall{}, err
		}
		for _, a := range lines {
			if a.Call == AuditCallRef(id) {
				e.Audit = append(e.Audit, a)
			}
		}
		if after = next; after == "" {
			return e, nil
		}
	}
}
