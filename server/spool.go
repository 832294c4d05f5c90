package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/fault"
	"github.com/serverurl/serverurl/sqldb"
)

const (
	// putTime is how long an event waits for the database before it is spooled.
	// Its sender gives up after about 20 s.
	putTimeout = 6 * time.Second

	// spoolWorkers is how many events are forwarded at a time: enough for a
	// thousand a second. Those that are being forwarded when a process dies wait
	// about a minute for the next one, so they are few.
	spoolWorkers = 4

	// spoolPause is the pause between two attempts to forward an event.
	spoolPause = time.Second

	// spoolAttempts is how many failed deliveries make a spooled event a dead
	// letter of the spool; a forward that waits counts once in some minutes.
	spoolAttempts = 30_000

	// spoolBytes bounds the file. Events above it are refused.
	spoolBytes = 1 << 30
)

var errSpoolFull = errors.New("server: the spool is full")

// A spool is an inbox that puts events into the database, and into a file on a
// local disk while the database is unavailable. The file is an inbox of its own,
// on SQLite, whose deliveries are Puts into the database: so it is as durable and
// shares commits as well. Once the database was unavailable, events go into the
// file at once, so that no sender waits for a database that is known not to
// answer; the first event that is forwarded ends that.
//
// An event that is put twice, because the result of a Put was lost, is delivered
// twice, which changes nothing.
type spool struct {
	*sqldb.Inbox // the database's
	put          func(ctx context.Context, es ...core.Envelope) error

	file        *sqldb.Inbox
	db          *sqldb.Database // the file's
	maxBytes    int64           // bytes of the file
	unavailable atomic.Bool
	log         *slog.Logger
}

var (
	_ core.Inbox         = (*spool)(nil)
	_ core.PendingReader = (*spool)(nil)
)

// openSpool opens the file and creates it if it does not exist.
func openSpool(ctx context.Context, path string, in *sqldb.Inbox, tag func(event.CallID) string, log *slog.Logger) (*spool, error) {
	db, err := sqldb.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, fmt.Errorf("server: spool: %w", err)
	}
	s := &spool{Inbox: in, put: in.Put, db: db, maxBytes: spoolBytes, log: log}
	s.file, err = sqldb.NewInbox(db, s.forward, sqldb.InboxOptions{
		Workers: spoolWorkers, MaxAttempts: spoolAttempts, Backoff: func(int) time.Duration { return spoolPause }, Tag: tag, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Put implements core.Inbox. It continues if the sender has disconnected: the
// event is sent only once.
func (s *spool) Put(ctx context.Context, es ...core.Envelope) error {
	ctx = context.WithoutCancel(ctx)
	if !s.unavailable.Load() {
		trying, cancel := context.WithTimeout(ctx, putTimeout)
		err := s.put(trying, es...)
		cancel()
		if err == nil || sqldb.IsPermanent(err) || errors.Is(err, sqldb.ErrOverloaded) {
			return err
		}
		if s.unavailable.CompareAndSwap(false, true) {
			s.log.Warn("database unavailable: events are spooled")
		}
	}
	if fault.Mutated("spool-discards") {
		return nil
	}
	return s.spoolEvents(ctx, es)
}

// PendingOf implements core.PendingReader: what is spooled is pending too.
func (s *spool) PendingOf(ctx context.Context, call event.CallID, limit int) ([]core.Envelope, error) {
	spooled, err1 := s.file.PendingOf(ctx, call, limit)
	es, err2 := s.Inbox.PendingOf(ctx, call, limit)
	if es = append(es, spooled...); len(es) > 0 {
		return es[:min(len(es), limit)], nil
	}
	return nil, errors.Join(err1, err2)
}

// spoolEvents puts events into the file unless it is full.
func (s *spool) spoolEvents(ctx context.Context, es []core.Envelope) error {
	used, err := s.db.UsedBytes(ctx)
	if err != nil {
		return err
	}
	if used >= s.maxBytes {
		s.log.Error("spool full: events are refused", "bytes", used)
		return errSpoolFull
	}
	return s.file.Put(ctx, es...)
}

// forward is the delivery of a spooled event: it waits for the database.
func (s *spool) forward(ctx context.Context, e core.Envelope) error {
	for {
		trying, cancel := context.WithTimeout(ctx, putTimeout)
		err := s.put(trying, e)
		cancel()
		if err == nil && s.unavailable.CompareAndSwap(true, false) {
			s.log.Info("database available: spooled events are forwarded")
		}
		if err == nil || sqldb.IsPermanent(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(spoolPause):
		}
	}
}
