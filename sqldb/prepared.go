package sqldb

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"strings"

	driversqlite "modernc.org/sqlite"
)

// SQLite parses a statement each time that it is executed, unless it is kept
// prepared. Neither database/sql nor River keeps any, and of a delivery's time two
// fifths were parsing. So each connection keeps those that it has executed.

// maxPrepared is how many statements a connection keeps. The store and the inbox
// have some dozens.
const maxPrepared = 128

// openSQLiteDB opens a handle whose connections keep their statements prepared.
func openSQLiteDB(dsn string) *sql.DB {
	return sql.OpenDB(preparing{dsn})
}

// A preparing is a driver.Connector of such connections.
type preparing struct{ dsn string }

// Driver implements driver.Connector.
func (c preparing) Driver() driver.Driver { return &driversqlite.Driver{} }

// Connect implements driver.Connector.
func (c preparing) Connect(context.Context) (driver.Conn, error) {
	conn, err := c.Driver().Open(c.dsn)
	if err != nil {
		return nil, err
	}
	return &preparedConn{sqliteConn: conn.(sqliteConn), kept: map[string]*preparedStmt{}}, nil
}

// A sqliteConn is what the driver's connections can do.
type sqliteConn interface {
	driver.Conn
	driver.ConnBeginTx
	driver.ConnPrepareContext
	driver.ExecerContext
	driver.QueryerContext
	driver.Pinger
	driver.SessionResetter
	driver.Validator
}

// A preparedConn is used by one goroutine at a time, as database/sql promises.
type preparedConn struct {
	sqliteConn
	kept map[string]*preparedStmt
}

// A preparedStmt is a statement that is kept. busy is set while its rows are read:
// then the same text is executed by another statement.
type preparedStmt struct {
	driver.Stmt
	busy bool
}

// statement returns the statement of a text, prepared, or nil if it is not kept:
// there may be several statements in the text, or one that is executed once.
func (c *preparedConn) statement(ctx context.Context, query string) (*preparedStmt, error) {
	if s := c.kept[query]; s != nil {
		if s.busy {
			return nil, nil
		}
		return s, nil
	}
	if len(c.kept) >= maxPrepared || strings.Contains(query, ";") || !strings.ContainsAny(query, "?$") {
		return nil, nil
	}
	stmt, err := c.PrepareContext(ctx, query)
	if err != nil {
		return nil, err
	}
	s := &preparedStmt{Stmt: stmt}
	c.kept[query] = s
	return s, nil
}

// ExecContext implements driver.ExecerContext.
func (c *preparedConn) ExecContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Result, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.ExecContext(ctx, query, args)
	}
	return s.Stmt.(driver.StmtExecContext).ExecContext(ctx, args)
}

// QueryContext implements driver.QueryerContext.
func (c *preparedConn) QueryContext(ctx context.Context, query string, args []driver.NamedValue) (driver.Rows, error) {
	s, err := c.statement(ctx, query)
	if err != nil {
		return nil, err
	}
	if s == nil {
		return c.sqliteConn.QueryContext(ctx, query, args)
	}
	rows, err := s.Stmt.(driver.StmtQueryContext).QueryContext(ctx, args)
	if err != nil {
		return nil, err
	}
	s.busy = true
	return &preparedRows{Rows: rows, of: s}, nil
}

// preparedRows make their statement available again when they are closed.
type preparedRows struct {
	driver.Rows
	of *preparedStmt
}

// Close implements driver.Rows.
func (r *preparedRows) Close() error {
	r.of.busy = false
	return r.Rows.Close()
}

// Close implements driver.Conn.
func (c *preparedConn) Close() error {
	for _, s := range c.kept {
		_ = s.Close() // the connection ends
	}
	return c.sqliteConn.Close()
}
