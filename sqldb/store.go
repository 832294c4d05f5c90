package sqldb

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/fault"
)

// A Store is a records.Store in a SQL database. It is safe for concurrent use.
// [Database.Store] returns one; [NewStore] is for a program that opens the
// database itself.
type Store struct {
	write, read *sql.DB
	d           *dialect
}

var _ records.Store = (*Store)(nil)

// NewStore returns a store on a database that the caller has opened and closes,
// with the connection strings of [SQLiteDSN] or [PostgresDSN]. write and read
// are handles of the same database; SQLite needs one connection that writes and
// several that read. A nil read means write. It does not migrate: see
// [Store.Migrate]. It panics if d is not one of the constants.
func NewStore(write, read *sql.DB, d Dialect) *Store {
	statements, ok := dialects[d]
	if !ok {
		panic("sqldb: unknown dialect")
	}
	return &Store{write: write, read: cmp.Or(read, write), d: statements}
}

// maxKeysPerQuery bounds the parameters of one statement.
const maxKeysPerQuery = 100

// Get implements records.Store. Up to 100 keys are one statement.
func (s *Store) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	rs := make([]records.Record, len(keys))
	at := make(map[string][]int, len(keys)) // a key may be listed twice
	for i, k := range keys {
		rs[i].Key = k
		at[k] = append(at[k], i)
	}
	for chunk := range slices.Chunk(keys, maxKeysPerQuery) {
		args := make([]any, 0, 2*len(chunk))
		for _, k := range chunk {
			dir, name, err := records.SplitKey(k)
			if err != nil {
				return nil, err
			}
			args = append(args, dir, name)
		}
		found, err := s.query(ctx, "get", s.d.get(len(chunk)), args...)
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

// Range implements records.Store. It is one statement.
func (s *Store) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	if limit <= 0 {
		return nil, nil
	}
	return s.query(ctx, "range", s.d.selectRange, dir, after, limit)
}

// query reads rows of dir, name, value, version, age in ms and expiry in s.
func (s *Store) query(ctx context.Context, op, query string, args ...any) ([]records.Record, error) {
	var rs []records.Record
	err := retry(ctx, op, func() error {
		rs = nil
		rows, err := s.read.QueryContext(ctx, query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var r records.Record
			var dir, name string
			var age int64
			var expires sql.NullInt64
			if err := rows.Scan(&dir, &name, &r.Value, &r.Version, &age, &expires); err != nil {
				return err
			}
			r.Key = dir + "/" + name
			r.Age = max(0, time.Duration(age)*time.Millisecond)
			if r.Value == nil {
				r.Value = []byte{} // drivers return nil or empty for an empty value
			}
			if expires.Valid {
				r.Expires = time.Unix(expires.Int64, 0).UTC()
			}
			rs = append(rs, r)
		}
		return rows.Err()
	})
	return rs, err
}

// Commit implements records.Store.
func (s *Store) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil {
		return err
	}
	switch len(rs) {
	case 0:
		return nil
	case 1: // a statement is a transaction: it saves the round trips of BEGIN and COMMIT
		return retry(ctx, "commit", func() error { return s.d.change(ctx, s.write, rs[0]) })
	}
	rs = slices.Clone(rs)
	slices.SortFunc(rs, func(a, b records.Record) int { return cmp.Compare(a.Key, b.Key) })
	return retry(ctx, "commit", func() error {
		tx, err := s.write.BeginTx(ctx, s.d.begin)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, r := range rs {
			if err := s.d.change(ctx, tx, r); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
}

// CommitBatch runs several Commits in one transaction, so that they wait for the
// disk once, and returns the error of each. Each is atomic by itself: a stale
// one is skipped and has ErrStale, the others are committed. If the database
// fails, all have its error.
func (s *Store) CommitBatch(ctx context.Context, commits ...[]records.Record) []error {
	errs := make([]error, len(commits))
	var todo []int
	for i, rs := range commits {
		if errs[i] = records.ValidateCommit(rs); errs[i] == nil && len(rs) > 0 {
			todo = append(todo, i)
		}
	}
	if len(todo) == 1 {
		errs[todo[0]] = s.Commit(ctx, commits[todo[0]]...)
		return errs
	}
	failed := retry(ctx, "commit", func() error {
		tx, err := s.write.BeginTx(ctx, s.d.begin)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		for _, i := range todo {
			if errs[i], err = s.d.commitOne(ctx, tx, commits[i]); err != nil {
				return err
			}
		}
		return tx.Commit()
	})
	if failed != nil {
		for _, i := range todo {
			errs[i] = failed
		}
	}
	return errs
}

// commitOne runs one Commit within a transaction of several, and rolls it back
// if it is stale.
func (d *dialect) commitOne(ctx context.Context, tx *sql.Tx, rs []records.Record) (stale, err error) {
	if _, err := tx.ExecContext(ctx, "SAVEPOINT one"); err != nil {
		return nil, err
	}
	for _, r := range slices.SortedFunc(slices.Values(rs), func(a, b records.Record) int { return cmp.Compare(a.Key, b.Key) }) {
		err = d.change(ctx, tx, r)
		if errors.Is(err, records.ErrStale) {
			stale = err
			if _, err := tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT one"); err != nil {
				return nil, err
			}
			break
		}
		if err != nil {
			return nil, err
		}
	}
	_, err = tx.ExecContext(ctx, "RELEASE SAVEPOINT one")
	return stale, err
}

// An execer is a *sql.DB, *sql.Conn or *sql.Tx.
type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// change writes or deletes one record of a Commit. If its condition does not
// hold, no row is affected and the error is ErrStale.
func (d *dialect) change(ctx context.Context, db execer, r records.Record) error {
	dir, name, err := records.SplitKey(r.Key)
	if err != nil {
		return err
	}
	expires := sql.NullInt64{Int64: r.Expires.Unix(), Valid: !r.Expires.IsZero()}
	var res sql.Result
	switch {
	case r.Value == nil:
		res, err = db.ExecContext(ctx, d.delete, dir, name, r.Version)
	case r.Version == 0:
		res, err = db.ExecContext(ctx, d.create, dir, name, r.Value, expires)
	default:
		res, err = db.ExecContext(ctx, d.update, dir, name, r.Value, expires, r.Version)
	}
	if err != nil {
		return err
	}
	n, err := res.RowsAffected()
	if err == nil && n == 0 && !fault.Mutated("unconditional-commit") {
		err = records.ErrStale
	}
	return err
}

// Sweep deletes up to limit records that have expired, the oldest first, and
// returns how many it deleted; fewer than limit means that none is left. Any
// number of processes may sweep.
func (s *Store) Sweep(ctx context.Context, limit int) (int, error) {
	var n int64
	err := retry(ctx, "sweep", func() error {
		res, err := s.write.ExecContext(ctx, s.d.sweep, limit)
		if err == nil {
			n, err = res.RowsAffected()
		}
		return err
	})
	return int(n), err
}
