package cloudflare

import (
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/sqldb/statements"
)

// A Store keeps records in a D1 database: the table and the statements of
// sqldb on SQLite. A Commit of several records is one batch, which D1 runs
// as a transaction.
//
// It opens no session of D1 (withSession), so every query goes to the primary:
// a replica may not have a Commit that returned before.
type Store struct{ bindings Bindings }

var _ records.Store = (*Store)(nil)

// NewStore returns a store on the database of the bindings. Its schema exists
// already: `wrangler d1 migrations apply` creates it, from sqldb/statements/migrations.
func NewStore(b Bindings) *Store { return &Store{b} }

// keysAtOnce bounds the parameters of one statement, and, with records of the
// largest size, what one reply holds: pageBytes.
const keysAtOnce = min(maxParams/2, pageBytes/records.MaxRecordBytes)

// get wraps a statement that reads: D1 returns a blob as an array of numbers,
// hexadecimal is a third of that.
func get(n int) string {
	return "SELECT dir, name, hex(value) AS value, version, age, expires_at, 0 AS total FROM (" + statements.Get(n) + ")"
}

// rangePage reads as many records of a Range as fit into ?4 bytes, but one at
// least. The last column is how many bytes they are so far.
const rangePage = "SELECT dir, name, hex(value) AS value, version, age, expires_at, total FROM (" +
	"SELECT *, sum(length(value)) OVER (ORDER BY name) AS total FROM (" + statements.Range + ")) WHERE total - length(value) < ?4"

// Get implements records.Store. Up to 16 keys are one round trip.
func (s *Store) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	rs := make([]records.Record, len(keys))
	at := make(map[string][]int, len(keys)) // a key may be asked for twice
	for i, k := range keys {
		rs[i].Key = k
		at[k] = append(at[k], i)
	}
	for some := range slices.Chunk(keys, keysAtOnce) {
		params := make([]any, 0, 2*len(some))
		for _, k := range some {
			dir, name, err := records.SplitKey(k)
			if err != nil {
				return nil, err
			}
			params = append(params, dir, name)
		}
		found, _, err := s.query(ctx, get(len(some)), params...)
		if err != nil {
			return nil, err
		}
		for _, r := range found {
			for n, i := range at[r.Key] {
				if rs[i] = r; n > 0 {
					rs[i].Value = slices.Clone(r.Value)
				}
			}
		}
	}
	return rs, nil
}

// Range implements records.Store. Up to 4 MB are one round trip.
func (s *Store) Range(ctx context.Context, dir, after string, limit int) (rs []records.Record, err error) {
	for len(rs) < limit {
		page, size, err := s.query(ctx, rangePage, dir, after, limit-len(rs), pageBytes)
		if err != nil {
			return nil, err
		}
		rs = append(rs, page...)
		if size < pageBytes {
			break
		}
		_, after, _ = records.SplitKey(rs[len(rs)-1].Key)
	}
	return rs, nil
}

// query reads records, and how many bytes they are where the query says it.
func (s *Store) query(ctx context.Context, sql string, params ...any) (rs []records.Record, size int, err error) {
	out, _, err := do(ctx, s.bindings, operation{Op: "d1", Statements: []statement{{sql, params}}})
	if err != nil {
		return nil, 0, err
	}
	if len(out.Results) != 1 {
		return nil, 0, errFrame
	}
	for _, row := range out.Results[0].Rows {
		if len(row) != 7 {
			return nil, 0, errFrame
		}
		dir, ok1 := row[0].(string)
		name, ok2 := row[1].(string)
		value, ok3 := row[2].(string)
		version, ok4 := row[3].(float64)
		age, ok5 := row[4].(float64)
		total, ok6 := row[6].(float64)
		raw, err := hex.DecodeString(value)
		if !(ok1 && ok2 && ok3 && ok4 && ok5 && ok6) || err != nil {
			return nil, 0, errFrame
		}
		r := records.Record{Key: dir + "/" + name, Value: raw, Version: int64(version), Age: max(0, time.Duration(age)*time.Millisecond)}
		if end, ok := row[5].(float64); ok {
			r.Expires = time.Unix(int64(end), 0).UTC()
		}
		rs, size = append(rs, r), int(total)
	}
	return rs, size, nil
}

// guard fails, and with it the batch, where the statement before it changed
// nothing: it writes a row that the schema refuses.
const guard = `INSERT INTO serverurl_records (dir, name, value, written_at) SELECT '', '', NULL, 0 WHERE changes() = 0`

// Commit implements records.Store.
func (s *Store) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil {
		return err
	}
	if len(rs) == 0 {
		return nil
	}
	op := operation{Op: "d1"}
	var body [][]byte
	at := 0
	for _, r := range rs {
		dir, name, err := records.SplitKey(r.Key)
		if err != nil {
			return err
		}
		var expires any
		if !r.Expires.IsZero() {
			expires = r.Expires.Unix()
		}
		value := part{at, at + len(r.Value)}
		switch {
		case r.Value == nil:
			op.Statements = append(op.Statements, statement{statements.Delete, []any{dir, name, r.Version}})
		case r.Version == 0:
			op.Statements = append(op.Statements, statement{statements.Create, []any{dir, name, value, expires}})
		default:
			op.Statements = append(op.Statements, statement{statements.Update, []any{dir, name, value, expires, r.Version}})
		}
		if len(rs) > 1 {
			op.Statements = append(op.Statements, statement{guard, []any{}})
		}
		body, at = append(body, r.Value), value.To
	}
	out, _, err := do(ctx, s.bindings, op, body...)
	if e, ok := errors.AsType[*errcode.Error](err); ok && e.Code == codeStale {
		return records.ErrStale
	}
	if err != nil {
		return err
	}
	if len(rs) == 1 && (len(out.Results) != 1 || out.Results[0].Changes == 0) {
		return records.ErrStale
	}
	return nil
}

// Sweep deletes up to limit records that have expired, the oldest first, and
// returns how many it deleted. Fewer than limit: there are no more.
func (s *Store) Sweep(ctx context.Context, limit int) (int, error) {
	out, _, err := do(ctx, s.bindings, operation{Op: "d1", Statements: []statement{{statements.Sweep, []any{limit}}}})
	if err != nil || len(out.Results) != 1 {
		return 0, err
	}
	return out.Results[0].Changes, nil
}
