// Package postgres keeps the clinics' visits in tables of their own. It is apart
// from package clinic because a Worker cannot connect to a database.
package postgres

import (
	"cmp"
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/serverurl/serverurl/examples/clinic"
)

// Tables are the statements that make the tables.
const Tables = `
CREATE TABLE IF NOT EXISTS clinic_visits (clinic text, at timestamptz, service text NOT NULL, name text NOT NULL, phone text NOT NULL, PRIMARY KEY (clinic, at));
CREATE TABLE IF NOT EXISTS clinic_notes (clinic text, call text, note text NOT NULL, PRIMARY KEY (clinic, call))`

// A Book is a clinic.Book in PostgreSQL, in a database that has the Tables.
type Book struct{ *pgxpool.Pool }

// Between implements clinic.Book.
func (b Book) Between(ctx context.Context, in string, from, to time.Time) ([]clinic.Entry, error) {
	rows, err := b.Query(ctx, `SELECT at, service, name, phone FROM clinic_visits WHERE clinic = $1 AND at >= $2 AND at < $3 ORDER BY at`, in, from, to)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowToStructByPos[clinic.Entry])
}

// Change implements clinic.Book.
func (b Book) Change(ctx context.Context, in string, from, to *clinic.Entry) error {
	err := pgx.BeginFunc(ctx, b.Pool, func(tx pgx.Tx) error {
		if from != nil {
			done, err := tx.Exec(ctx, `DELETE FROM clinic_visits WHERE clinic = $1 AND at = $2 AND name = $3 AND phone = $4`, in, from.At, from.Name, from.Phone)
			if err != nil || done.RowsAffected() == 0 {
				return cmp.Or(err, clinic.ErrNone)
			}
		}
		if to == nil {
			return nil
		}
		_, err := tx.Exec(ctx, `INSERT INTO clinic_visits VALUES ($1, $2, $3, $4, $5)`, in, to.At, to.Service, to.Name, to.Phone)
		return err
	})
	if pg, ok := errors.AsType[*pgconn.PgError](err); ok && pg.Code == "23505" { // unique_violation
		return clinic.ErrTaken
	}
	return err
}

// Note implements clinic.Book.
func (b Book) Note(ctx context.Context, in, call, text string) error {
	_, err := b.Exec(ctx, `INSERT INTO clinic_notes VALUES ($1, $2, $3) ON CONFLICT (clinic, call) DO UPDATE SET note = $3`, in, call, text)
	return err
}
