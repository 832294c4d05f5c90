package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"embed"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"
)

//go:embed statements/migrations
var migrations embed.FS

// A migration is one file: 0001_records.sql.
type migration struct {
	version    int
	needs      int // the oldest schema that a program must know to continue
	statements []string
}

// Migrate brings the schema up to the version that this program knows. Several
// processes may call it at once; one of them migrates, and a failure leaves the
// schema unchanged. It refuses a schema that is too new for this program.
func (s *Store) Migrate(ctx context.Context) error {
	ms, err := readMigrations(migrations, s.d.migrations)
	if err != nil {
		return err
	}
	return s.migrate(ctx, ms)
}

func (s *Store) migrate(ctx context.Context, ms []migration) error {
	known := len(ms)
	// Most starts have nothing to migrate and need no lock. An error means that
	// there is no schema yet, or occurs again below.
	if at, needs, err := schema(ctx, s.write); err == nil && at >= known {
		return tooOld(known, needs)
	}
	return retry(ctx, "migrate", func() error {
		return s.locked(ctx, func(c *sql.Conn) error {
			_, err := c.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS serverurl_schema
(version integer NOT NULL PRIMARY KEY, needs integer NOT NULL, applied_at bigint NOT NULL)`)
			if err != nil {
				return err
			}
			at, needs, err := schema(ctx, c)
			if err != nil {
				return err
			}
			if err := tooOld(known, needs); err != nil {
				return err
			}
			for _, m := range ms[min(at, known):] {
				m.statements = append(m.statements, fmt.Sprintf(
					"INSERT INTO serverurl_schema VALUES (%d, %d, %d)", m.version, m.needs, time.Now().Unix()))
				for _, q := range m.statements {
					if _, err := c.ExecContext(ctx, q); err != nil {
						return err
					}
				}
			}
			return nil
		})
	})
}

// locked runs f in a transaction that only one process can be in.
func (s *Store) locked(ctx context.Context, f func(*sql.Conn) error) (err error) {
	c, err := s.write.Conn(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	defer func() {
		if err == nil {
			_, err = c.ExecContext(ctx, "COMMIT")
		}
		if err == nil {
			return
		}
		// The connection must not return to the pool with an open transaction.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if _, rollback := c.ExecContext(ctx, "ROLLBACK"); rollback != nil {
			c.Raw(func(any) error { return driver.ErrBadConn })
		}
	}()
	for _, q := range s.d.lock {
		if _, err := c.ExecContext(ctx, q); err != nil {
			return err
		}
	}
	return f(c)
}

// schema returns the version of the schema, 0 for none, and the version that a
// program must know.
func schema(ctx context.Context, db interface {
	QueryRowContext(context.Context, string, ...any) *sql.Row
}) (version, needs int, err error) {
	err = db.QueryRowContext(ctx, "SELECT coalesce(max(version), 0), coalesce(max(needs), 0) FROM serverurl_schema").Scan(&version, &needs)
	return version, needs, err
}

// A schemaError says that the schema does not fit this program.
type schemaError string

// Error implements error.
func (e schemaError) Error() string { return string(e) }

func tooOld(known, needs int) error {
	if known >= needs {
		return nil
	}
	return schemaError(fmt.Sprintf(
		"sqldb: the database needs a program that knows schema %d, this one knows %d: deploy a newer release", needs, known))
}

// readMigrations returns the migrations of a directory, numbered from 1. An error
// is a bug in the program.
func readMigrations(fsys fs.FS, dir string) ([]migration, error) {
	names, err := fs.Glob(fsys, dir+"/*.sql")
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	var ms []migration
	for i, name := range names {
		b, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, err
		}
		m := migration{version: i + 1}
		if !strings.HasPrefix(name, fmt.Sprintf("%s/%04d_", dir, m.version)) {
			return nil, fmt.Errorf("sqldb: %s: want number %04d", name, m.version)
		}
		if _, err := fmt.Sscanf(string(b), "-- needs %d\n", &m.needs); err != nil || m.needs < 1 || m.needs > m.version {
			return nil, fmt.Errorf("sqldb: %s: the first line must be: -- needs 1 (or up to %d)", name, m.version)
		}
		// A statement ends with a semicolon at the end of a line.
		for q := range strings.SplitSeq(string(b), ";\n") {
			if strings.TrimSpace(q) != "" {
				m.statements = append(m.statements, q)
			}
		}
		ms = append(ms, m)
	}
	return ms, nil
}
