package sqldb

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"
)

// A LazyDatabase is a PostgreSQL database for an instance that its platform
// starts and freezes at will. It connects on first use, holds few connections,
// and keeps no state in a session, so that a pooler in transaction mode may be
// in between.
type LazyDatabase struct {
	db *Database

	connecting chan struct{} // full while one caller connects
	connected  atomic.Bool
}

// maxConnIdleTime is how long a connection may be unused. It is checked when a
// connection is taken, which a freeze cannot delay.
const maxConnIdleTime = 30 * time.Second

// connectTimeout bounds one Connect, so that its callers can still answer their
// requests.
const connectTimeout = 12 * time.Second

// OpenLazy returns a database without connecting to it. connections is the size
// of its pool, unless the URL sets pool_max_conns.
func OpenLazy(url string, connections int) (*LazyDatabase, error) {
	if scheme, _, _ := strings.Cut(url, "://"); scheme != "postgres" && scheme != "postgresql" {
		return nil, errors.New("sqldb: the database URL does not start with postgres://")
	}
	config, err := poolConfig(url, int32(connections), 2) // migrations hold one while they use another
	if err != nil {
		return nil, err
	}
	config.MinConns, config.MinIdleConns = 0, 0
	config.MaxConnIdleTime = maxConnIdleTime
	db, err := newPostgres(context.Background(), config)
	if err != nil {
		return nil, err
	}
	db.pollOnly = true
	return &LazyDatabase{db: db, connecting: make(chan struct{}, 1)}, nil
}

// Database returns the database. It may be passed to NewInbox and Bind at once,
// and used after Connect has returned nil.
func (l *LazyDatabase) Database() *Database { return l.db }

// Connect connects, refuses a database that cannot keep the package's promises,
// and migrates its tables if they are missing or old. It may be called before
// every use: once it has returned nil, it does nothing. While the database is
// unavailable, it retries for some seconds.
func (l *LazyDatabase) Connect(ctx context.Context) error {
	if l.connected.Load() {
		return nil
	}
	select {
	case l.connecting <- struct{}{}:
		defer func() { <-l.connecting }()
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if l.connected.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := l.db.connect(ctx, l.db.migrateRiverIfOutdated); err != nil {
		return err
	}
	l.connected.Store(true)
	return nil
}

// Sweep deletes expired records. It is for an instance that never calls
// [Inbox.Run].
func (l *LazyDatabase) Sweep(ctx context.Context) error { return l.db.sweepExpired(ctx) }

// Close closes all connections.
func (l *LazyDatabase) Close() error { return l.db.Close() }
