package inspect

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core/records"
)

// auditDir is where it is written down what was shown to whom.
const auditDir = "inspector/shown"

// auditAge is how long it is known.
const auditAge = 366 * 24 * time.Hour

// An Audit is one act of showing what is masked.
type Audit struct {
	At     time.Time `json:"at"`
	What   string    `json:"what"` // a call's id, or "request" and an id
	Remote string    `json:"remote"`
}

func keepAudit(ctx context.Context, s records.Store, a Audit) error {
	value, err := json.Marshal(a)
	if err != nil {
		return errors.New("inspect: cannot be written down")
	}
	key := fmt.Sprintf("%s/%013d-%s", auditDir, max(0, 9_999_999_999_999-a.At.UnixMilli()), rand.Text()[:8])
	return s.Commit(ctx, records.Record{Key: key, Value: value, Expires: a.At.Add(auditAge)})
}

// Audits returns up to limit acts of showing, newest first.
func Audits(ctx context.Context, s records.Store, limit int) ([]Audit, error) {
	recs, err := s.Range(ctx, auditDir, "", limit)
	if err != nil {
		return nil, err
	}
	var all []Audit
	for _, r := range recs {
		var a Audit
		if json.Unmarshal(r.Value, &a) == nil {
			all = append(all, a)
		}
	}
	return all, nil
}
