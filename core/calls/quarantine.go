package calls

import (
	"context"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// A QuarantinedBody is such a body.
type QuarantinedBody struct {
	ID       string    `json:"id"`
	Received time.Time `json:"received"`
	Reason   string    `json:"reason"`
	Body     []byte    `json:"body"` // masked, in any form
}

// ListQuarantine returns up to limit bodies that were authenticated and could
// not be understood, after the ID given.
func ListQuarantine(ctx context.Context, s records.Store, after string, limit int) ([]QuarantinedBody, error) {
	recs, err := s.Range(ctx, callstate.QuarantineDir, after, limit)
	if err != nil {
		return nil, err
	}
	var qs []QuarantinedBody
	for _, r := range recs {
		b, err := callstate.GetBytes(ctx, s, callstate.QuarantineDir+"/blobs", r.Value)
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
