package sqlinbox

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
)

// A databaseError is a failure of the database without the driver's words,
// which may quote what is stored or the URL.
type databaseError struct {
	op  string
	err error
}

func wrap(op string, err error) error {
	if _, ours := errors.AsType[*databaseError](err); ours || err == nil {
		return err
	}
	return &databaseError{op, err}
}

// Error implements error.
func (e *databaseError) Error() string { return "sqlinbox: " + e.op + ": " + e.reason() }

// Unwrap returns the driver's error. It is not for logs.
func (e *databaseError) Unwrap() error { return e.err }

func (e *databaseError) reason() string {
	if s := sqlState(e.err); s != "" {
		return "SQLSTATE " + s
	}
	if n, ok := sqliteCode(e.err); ok {
		return fmt.Sprintf("SQLite code %d", n)
	}
	if no, ok := errors.AsType[syscall.Errno](e.err); ok {
		return no.Error()
	}
	switch {
	case errors.Is(e.err, context.DeadlineExceeded):
		return "no answer in time"
	case errors.Is(e.err, context.Canceled):
		return context.Canceled.Error()
	case lost(e.err):
		return "connection lost"
	}
	return "failed"
}

func sqlState(err error) string {
	if e, ok := errors.AsType[interface {
		error
		SQLState() string
	}](err); ok {
		return e.SQLState()
	}
	return ""
}

func sqliteCode(err error) (int, bool) {
	if e, ok := errors.AsType[interface {
		error
		Code() int
	}](err); ok {
		return e.Code(), true
	}
	return 0, false
}

// lost reports whether the connection is, or was before it was used: pgx says of
// the latter that it is safe to try again.
func lost(err error) bool {
	_, network := errors.AsType[*net.OpError](err)
	return network || pgconn.SafeToRetry(err) || errors.Is(err, driver.ErrBadConn) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// An errorKind says what to do about an error of the database.
type errorKind int

const (
	errorOther          errorKind = iota
	errorOfAvailability           // away or busy: the same may succeed later
	errorOfData                   // this data will never go in
	errorOfDisk                   // what was written cannot be trusted: stop, look, start again
)

func kindOf(err error) errorKind {
	if err == nil {
		return errorOther
	}
	if s := sqlState(err); s != "" {
		switch {
		case s == "40001", s == "40P01", s == "55P03", s == "53300", // lost to somebody else, or no room for us
			strings.HasPrefix(s, "57P"), strings.HasPrefix(s, "08"): // stopping or starting, connection
			return errorOfAvailability
		case strings.HasPrefix(s, "22"), strings.HasPrefix(s, "23"), strings.HasPrefix(s, "54"):
			return errorOfData
		}
		return errorOther
	}
	if n, ok := sqliteCode(err); ok {
		switch n & 0xff {
		case 5, 6: // BUSY, LOCKED
			return errorOfAvailability
		case 1, 18, 19, 20: // ERROR (of a JSON function, too), TOOBIG, CONSTRAINT, MISMATCH
			return errorOfData
		case 10, 11, 26: // IOERR, CORRUPT, NOTADB
			return errorOfDisk
		}
		return errorOther
	}
	if lost(err) || errors.Is(err, context.DeadlineExceeded) {
		return errorOfAvailability
	}
	if _, refused := errors.AsType[syscall.Errno](err); refused {
		return errorOfAvailability
	}
	return errorOther
}

// Refused reports that an event can never be stored, whatever the database
// does next. After any other error of Put the same may be stored later.
func Refused(err error) bool { return kindOf(err) == errorOfData || errors.Is(err, errUnpackable) }
