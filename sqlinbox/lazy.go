package sqlinbox

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/sqlstore"
)

// A Lazy is a Postgres database for an instance that a platform starts and
// freezes as it likes. It connects when it is first needed, holds few
// connections, and keeps no state in a session, so that a pooler in transaction
// mode may be between.
type Lazy struct {
	db *Database

	turn  chan struct{} // full while somebody prepares
	ready atomic.Bool
}

// idleTime is how long a connection may wait unused. It is checked at the use
// after it, which a freeze cannot put off.
const idleTime = 30 * time.Second

// prepareTime bounds one Prepare, so that who has waited for it is answered.
const prepareTime = 12 * time.Second

// OpenLazy returns a database without connecting to it. connections is the
// most of them at a time, unless the URL says pool_max_conns.
func OpenLazy(url string, connections int) (*Lazy, error) {
	if scheme, _, _ := strings.Cut(url, "://"); scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("sqlinbox: the database URL does not start with postgres://")
	}
	config, err := pgxpool.ParseConfig(sqlstore.PostgresDSN(url))
	if err != nil { // its text quotes the URL
		return nil, errors.New("sqlinbox: the database URL cannot be read: want postgres://user:password@host:5432/name, with special characters as %xx")
	}
	if !strings.Contains(url, "pool_max_conns=") {
		config.MaxConns = int32(connections)
	}
	config.MaxConns = max(config.MaxConns, 2) // migrations hold one while they use another
	config.MinConns, config.MinIdleConns = 0, 0
	config.MaxConnIdleTime = idleTime
	if config.ConnConfig.ConnectTimeout == 0 {
		config.ConnConfig.ConnectTimeout = patience
	}
	db := &Database{pollOnly: true}
	if db.pool, err = pgxpool.NewWithConfig(context.Background(), config); err != nil {
		return nil, errors.New("sqlinbox: the database URL cannot be used")
	}
	db.write = stdlib.OpenDBFromPool(db.pool)
	db.store = sqlstore.New(db.write, nil, sqlstore.Postgres)
	db.kept = db.store
	return &Lazy{db: db, turn: make(chan struct{}, 1)}, nil
}

// Database returns the database. It may be given to New and Bind at once, and
// used after Prepare has returned nil.
func (l *Lazy) Database() *Database { return l.db }

// Prepare connects, refuses a database that cannot keep a promise, and makes
// the tables where they are missing or old. It may be called before every use:
// once it has returned nil, it does nothing. While the database is away, it
// tries for some seconds.
func (l *Lazy) Prepare(ctx context.Context) error {
	if l.ready.Load() {
		return nil
	}
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.ready.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, prepareTime)
	defer cancel()
	db := l.db
	if err := untilFree(ctx, func() error { return db.pool.Ping(ctx) }); err != nil {
		return postgresTrouble(db.pool.Config().ConnConfig, err)
	}
	warnings, err := sqlstore.CheckPostgres(ctx, db.write)
	if err != nil {
		return err
	}
	if err := db.store.Migrate(ctx); err != nil {
		return err
	}
	if err := db.migrateRiverIfOld(ctx); err != nil {
		return wrap("migrate the inbox", err)
	}
	db.warnings = warnings
	l.ready.Store(true)
	return nil
}

// migrateRiverIfOld asks before it takes the lock: most starts find nothing to
// do.
func (db *Database) migrateRiverIfOld(ctx context.Context) error {
	m, err := rivermigrate.New(riverpgxv5.New(db.pool), nil)
	if err != nil {
		return err
	}
	known := 0
	for _, v := range m.AllVersions() {
		known = max(known, v.Version)
	}
	var at int
	err = db.pool.QueryRow(ctx, "SELECT coalesce(max(version), 0) FROM river_migration WHERE line = 'main'").Scan(&at)
	if err == nil && at >= known {
		return nil
	}
	return db.migrateRiverPostgres(ctx) // no table, or an error that will come again
}

// Sweep deletes expired records, for who runs no inbox.
func (l *Lazy) Sweep(ctx context.Context) error {
	for {
		n, err := l.db.store.Sweep(ctx, expiredAtOnce)
		if err != nil || n < expiredAtOnce {
			return err
		}
	}
}

// Store returns the records of the database, prepared by whoever comes first.
func (l *Lazy) Store() records.Store { return l.db.store }

// Close closes all connections.
func (l *Lazy) Close() error { return l.db.Close() }
