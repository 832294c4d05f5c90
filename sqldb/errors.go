package sqldb

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/envelope"
	"github.com/serverurl/serverurl/internal/errcode"
)

// wrap returns err as an errcode.Error, whose text is the operation and a code and
// never the driver's words, which may quote stored data or the URL. An error
// whose text is this package's own is returned unchanged.
func wrap(op string, err error) error {
	if err == nil || errors.Is(err, records.ErrStale) {
		return err
	}
	if _, ok := errors.AsType[*errcode.Error](err); ok {
		return err
	}
	if _, ok := errors.AsType[schemaError](err); ok {
		return err
	}
	return &errcode.Error{Package: "sqldb", Op: op, Code: reason(err), Err: err, Pass: kindOf(err).temporary()}
}

// reason describes err without the driver's words.
func reason(err error) string {
	switch {
	case errors.Is(err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	}
	if s := sqlState(err); s != "" {
		return "SQLSTATE " + s
	}
	if n, ok := sqliteCode(err); ok {
		return fmt.Sprintf("SQLite code %d", n)
	}
	if no, ok := errors.AsType[syscall.Errno](err); ok {
		return no.Error()
	}
	if connectionLost(err) {
		return "connection lost"
	}
	return fmt.Sprintf("driver error of type %T", err)
}

// sqlState returns the SQLSTATE of an error of PostgreSQL, or "".
func sqlState(err error) string {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	return ""
}

// sqliteCode returns the extended result code of an error of SQLite; its low
// byte is the primary code.
func sqliteCode(err error) (int, bool) {
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return e.Code(), true
	}
	return 0, false
}

// connectionLost reports whether the connection was lost, possibly before it
// was used: pgx marks the latter as safe to retry.
func connectionLost(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// An errorKind says what to do about an error of the database.
type errorKind int

const (
	errorOther       errorKind = iota
	errorConflict              // another transaction was in the way and nothing was changed: try again at once
	errorUnavailable           // the same may succeed later; it may also have happened
	errorPermanent             // this data can never be stored
	errorDisk                  // what was written cannot be trusted: stop, and check at the next start
)

// temporary reports whether the same operation may succeed later.
func (k errorKind) temporary() bool { return k == errorConflict || k == errorUnavailable }

// kindOf classifies an error of either engine. It is the only place that knows
// their codes, except for the advice of describeSQLiteError and
// describePostgresError.
func kindOf(err error) errorKind {
	if err == nil {
		return errorOther
	}
	if s := sqlState(err); s != "" {
		return kindOfSQLState(s)
	}
	if n, ok := sqliteCode(err); ok {
		switch n & 0xff {
		case 5, 6: // BUSY, LOCKED
			return errorConflict
		case 1, 18, 19, 20: // ERROR (also of a JSON function), TOOBIG, CONSTRAINT, MISMATCH
			return errorPermanent
		case 10, 11, 26: // IOERR, CORRUPT, NOTADB
			return errorDisk
		}
		return errorOther
	}
	if connectionLost(err) || errors.Is(err, context.DeadlineExceeded) {
		return errorUnavailable
	}
	if _, refused := errors.AsType[syscall.Errno](err); refused {
		return errorUnavailable
	}
	return errorOther
}

func kindOfSQLState(s string) errorKind {
	switch {
	case s == "40001", s == "40P01": // serialization failure, deadlock
		return errorConflict
	case s == "55P03", s == "53300", // lock not available, too many connections
		strings.HasPrefix(s, "57P"), strings.HasPrefix(s, "08"): // stopping or starting, connection
		return errorUnavailable
	case strings.HasPrefix(s, "22"), strings.HasPrefix(s, "23"), strings.HasPrefix(s, "54"):
		return errorPermanent
	}
	return errorOther
}

// IsPermanent reports whether an event can never be stored, whatever the database
// does next. After any other error of Put the same may be stored later.
func IsPermanent(err error) bool {
	return kindOf(err) == errorPermanent || errors.Is(err, envelope.ErrInvalid)
}
