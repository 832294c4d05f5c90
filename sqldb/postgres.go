package sqldb

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/serverurl/serverurl/internal/errcode"
)

func openPostgres(ctx context.Context, url string) (_ *Database, err error) {
	// Migrations hold one connection while they use another, and the inbox
	// listens on a third.
	config, err := poolConfig(url, postgresConnections, 4)
	if err != nil {
		return nil, err
	}
	db, err := newPostgres(ctx, config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if err := db.connect(ctx, db.migrateRiverPostgres); err != nil {
		return nil, err
	}
	works, err := notifyWorks(ctx, db.pool)
	if err != nil {
		return nil, wrap("listen", err)
	}
	if db.pollOnly = !works; db.pollOnly {
		db.warnings = append(db.warnings, "notifications do not arrive (a pooler in transaction mode?): the inbox is polled")
	}
	return db, nil
}

// poolConfig reads a PostgreSQL URL. connections is the size of the pool unless
// the URL sets pool_max_conns; it is never below least.
func poolConfig(url string, connections, least int32) (*pgxpool.Config, error) {
	config, err := pgxpool.ParseConfig(PostgresDSN(url))
	if err != nil { // its text quotes the URL
		return nil, errors.New("sqldb: the database URL is invalid: want postgres://user:password@host:5432/name, with special characters as %xx")
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = connections
	}
	config.MaxConns = max(config.MaxConns, least)
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = retryTime
	}
	return config, nil
}

// newPostgres returns a database that has not connected yet.
func newPostgres(ctx context.Context, config *pgxpool.Config) (*Database, error) {
	db := new(Database)
	var err error
	if db.pool, err = pgxpool.NewWithConfig(ctx, config); err != nil {
		return nil, errors.New("sqldb: the database URL cannot be used")
	}
	db.write = stdlib.OpenDBFromPool(db.pool)
	db.read = db.write
	db.store = NewStore(db.write, nil, Postgres)
	db.commitStore = db.store
	return db, nil
}

// connect waits for the server, checks it and migrates its tables, those of the
// inbox with migrateRiver.
func (db *Database) connect(ctx context.Context, migrateRiver func(context.Context) error) error {
	if err := retryBusy(ctx, func() error { return db.pool.Ping(ctx) }); err != nil {
		return describePostgresError(db.pool.Config().ConnConfig, err)
	}
	warnings, err := CheckPostgres(ctx, db.write)
	if err != nil {
		return err
	}
	if err := db.store.Migrate(ctx); err != nil {
		return err
	}
	if err := migrateRiver(ctx); err != nil {
		return wrap("migrate the inbox", err)
	}
	db.warnings = warnings
	return nil
}

// describePostgresError says what an operator can do about an error at the
// start.
func describePostgresError(c *pgx.ConnConfig, err error) error {
	where := fmt.Sprintf("%s:%d", c.Host, c.Port)
	if e, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch e.Code {
		case "28P01", "28000": // invalid password, invalid authorization
			return fmt.Errorf("sqldb: Postgres at %s refuses user %q: check the user and the password in the URL", where, c.User)
		case "3D000": // invalid catalog name
			return fmt.Errorf("sqldb: Postgres at %s has no database %q: createdb it, or correct the URL", where, c.Database)
		}
		refused := fmt.Sprintf("sqldb: Postgres at %s refuses: SQLSTATE %s", where, e.Code)
		if kindOf(err).temporary() {
			return errcode.Passing(refused)
		}
		return errors.New(refused)
	}
	return errcode.Passing(fmt.Sprintf("sqldb: no Postgres answers at %s (%s): check the host and the port in the URL, and that it runs", where, reason(err)))
}

// riverLock is the key of the advisory lock that guards River's migrations.
const riverLock = 7378697629484

func (db *Database) migrateRiverPostgres(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(db.pool), &rivermigrate.Config{Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	for {
		migrated, err := db.tryMigrateRiver(ctx, m)
		if migrated || err != nil {
			return err
		}
		if sleep(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond)) != nil {
			return context.Cause(ctx)
		}
	}
}

// tryMigrateRiver migrates unless another process does. The lock ends with its
// transaction, so it works through a pooler too. The migrations run on another
// connection, because one that adds to an enum must be committed before the
// next. So no process waits for the lock inside a transaction: many that did
// would occupy all connections of a pooler, and the holder of the lock would
// get no second one.
func (db *Database) tryMigrateRiver(ctx context.Context, m *rivermigrate.Migrator[pgx.Tx]) (migrated bool, err error) {
	err = pgx.BeginFunc(ctx, db.pool, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1::bigint)", riverLock).Scan(&migrated); err != nil || !migrated {
			return err
		}
		_, err := m.Migrate(ctx, rivermigrate.DirectionUp, nil)
		return err
	})
	return migrated && err == nil, err
}

// migrateRiverIfOutdated reads the version before it takes the lock: most
// starts have nothing to migrate.
func (db *Database) migrateRiverIfOutdated(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(db.pool), nil)
	if err != nil {
		return err
	}
	known := 0
	for _, v := range m.AllVersions() {
		known = max(known, v.Version)
	}
	var current int
	err = db.pool.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM river_migration WHERE line = 'main'").Scan(&current)
	if err == nil && current >= known {
		return nil
	}
	return db.migrateRiverPostgres(ctx) // the table does not exist, or the same error occurs again there
}

// notifyWorks reports whether LISTEN/NOTIFY works on this connection, by
// sending a probe.
func notifyWorks(ctx context.Context, pool *pgxpool.Pool) (bool, error) {
	const channel = "serverurl_probe"
	listener, err := pool.Acquire(ctx)
	if err != nil {
		return false, err
	}
	defer listener.Release()
	if _, err := listener.Exec(ctx, "LISTEN "+channel); err != nil {
		return false, nil
	}
	defer listener.Exec(ctx, "UNLISTEN "+channel)
	if _, err := pool.Exec(ctx, "NOTIFY "+channel); err != nil {
		return false, err
	}
	wait, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	if _, err := listener.Conn().WaitForNotification(wait); err != nil {
		return false, ctx.Err()
	}
	return true, nil
}
