package sqldb

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
)

var _ core.PendingReader = (*Inbox)(nil)

// callDigest stands for a call in its jobs, so that they can be found: an id may
// have characters that PostgreSQL's jsonb refuses.
func callDigest(id event.CallID) string {
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte(id))
	return hex.EncodeToString(sum[:12])
}

// PendingOf implements core.PendingReader, the oldest first. On PostgreSQL it uses
// River's index of arguments; on SQLite, which has none, it reads what is pending.
func (in *Inbox) PendingOf(ctx context.Context, call event.CallID, limit int) ([]core.Envelope, error) {
	const waiting = ` FROM river_job WHERE kind = 'serverurl_event' AND state IN ('available', 'pending', 'retryable', 'running', 'scheduled') AND `
	query := `SELECT json(args)` + waiting + `args ->> '$.c' = ?1 ORDER BY id LIMIT ?2`
	if in.db.pool != nil {
		query = `SELECT args::text` + waiting + `args @> jsonb_build_object('c', $1::text) ORDER BY id LIMIT $2::bigint`
	}
	rows, err := in.db.read.QueryContext(ctx, query, callDigest(call), limit)
	if err != nil {
		return nil, wrap("list pending events of a call", err)
	}
	defer rows.Close()
	var es []core.Envelope
	for rows.Next() {
		var args []byte
		if err := rows.Scan(&args); err != nil {
			return nil, wrap("list pending events of a call", err)
		}
		e, err := unpackArgs(args)
		if err != nil {
			return nil, err
		}
		if e.Call == call {
			es = append(es, e)
		}
	}
	return es, wrap("list pending events of a call", rows.Err())
}
