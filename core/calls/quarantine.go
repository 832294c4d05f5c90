package calls

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A QuarantinedBody is the body of an authenticated request that could not be
// decoded as an event. Events are sent once, so it is stored for an operator
// to look at.
type QuarantinedBody struct {
	ID       string    `json:"id"` // a hash of the body, so that a repeated one is stored once
	Received time.Time `json:"received"`
	Reason   string    `json:"reason"` // a constant of core: "not json", "too deep"
	Body     []byte    `json:"body"`   // secrets redacted; any bytes, not always JSON
}

// ListQuarantine returns up to limit quarantined bodies after an ID, "" for the
// first, in the order of IDs.
func ListQuarantine(ctx context.Context, s records.Store, after string, limit int) ([]QuarantinedBody, error) {
	recs, err := s.Range(ctx, callstate.QuarantineDir, after, limit)
	if err != nil {
		return nil, err
	}
	var qs []QuarantinedBody
	for _, r := range recs {
		b, err := callstate.GetBytes(ctx, s, callstate.QuarantineBlobsDir, r.Value)
		if err != nil {
			return nil, err
		}
		var q QuarantinedBody
		if json.Unmarshal(b, &q) != nil {
			return nil, callstate.ErrBadRecord
		}
		qs = append(qs, q)
	}
	return qs, nil
}
