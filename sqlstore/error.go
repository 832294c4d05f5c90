package sqlstore

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strconv"
	"time"

	"github.com/serverurl/serverurl/core/records"
)

// An Error is a failure of the database. Its text has no text of the driver,
// which may quote what is stored: it says the operation and the code. For
// more, an operator's own code may unwrap it.
type Error struct {
	Op   string // "get", "range", "commit", "sweep", "migrate", "check"
	Code string // "SQLSTATE 53300", "SQLite code 13", or ""
	Err  error  // of the driver: not for logs
}

// Error implements error.
func (e *Error) Error() string {
	return "sqlstore: " + e.Op + ": " + e.reason()
}

// Unwrap returns the driver's error.
func (e *Error) Unwrap() error { return e.Err }

// reason is what can be said without the driver's words.
func (e *Error) reason() string {
	var network *net.OpError
	switch {
	case errors.Is(e.Err, context.Canceled):
		return context.Canceled.Error()
	case errors.Is(e.Err, context.DeadlineExceeded):
		return context.DeadlineExceeded.Error()
	case e.Code != "":
		return e.Code
	case errors.As(e.Err, &network):
		return "network " + network.Op + " failed"
	case errors.Is(e.Err, driver.ErrBadConn), errors.Is(e.Err, io.EOF), errors.Is(e.Err, io.ErrUnexpectedEOF):
		return "connection lost"
	}
	return fmt.Sprintf("driver error of type %T", e.Err)
}

// A message is an error with words of ours only.
type message string

func (m message) Error() string { return string(m) }

// wrap makes an Error, unless the error is ours or nil.
func wrap(op string, err error) error {
	if _, ours := errors.AsType[message](err); ours || err == nil || errors.Is(err, records.ErrStale) {
		return err
	}
	return &Error{Op: op, Code: code(err), Err: err}
}

// code names the error without importing the driver that made it: pgx has an
// SQLSTATE, modernc.org/sqlite a number.
func code(err error) string {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		return "SQLSTATE " + state.SQLState()
	}
	if n, ok := sqliteCode(err); ok {
		return "SQLite code " + strconv.Itoa(n)
	}
	return ""
}

func sqliteCode(err error) (int, bool) {
	var e interface {
		error
		Code() int
	}
	if !errors.As(err, &e) {
		return 0, false
	}
	return e.Code(), true
}

// again reports whether the database refused for the sake of somebody else and
// changed nothing: a deadlock, a conflict of transactions, a busy file.
func again(err error) bool {
	var state interface{ SQLState() string }
	if errors.As(err, &state) {
		s := state.SQLState()
		return s == "40001" || s == "40P01"
	}
	n, ok := sqliteCode(err)
	return ok && (n&0xff == 5 || n&0xff == 6) // SQLITE_BUSY, SQLITE_LOCKED
}

// Pauses between attempts are random up to a bound that doubles: 10 ms, 20 ms …
// 320 ms. Together they stay under a second or so of the caller's time.
const (
	attempts   = 8
	firstPause = 10 * time.Millisecond
	lastPause  = 320 * time.Millisecond
)

// retry calls f until it does anything but lose to somebody else.
func retry(ctx context.Context, op string, f func() error) error {
	pause := firstPause
	for n := 1; ; n++ {
		err := f()
		if n == attempts || !again(err) {
			return wrap(op, err)
		}
		t := time.NewTimer(rand.N(pause))
		select {
		case <-ctx.Done():
			t.Stop()
			return wrap(op, errors.Join(context.Cause(ctx), err))
		case <-t.C:
		}
		pause = min(2*pause, lastPause)
	}
}
