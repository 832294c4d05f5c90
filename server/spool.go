package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/fault"
	"github.com/serverurl/serverurl/sqldb"
)

const (
	// putTime is how long an event waits for the database before it is spooled.
	// Its sender gives up after about 20 s.
	putTime = 6 * time.Second

	// spoolWorkers is how many events are moved at a time: enough for a thousand
	// a second. Those that were on their way when a process died wait for a
	// minute or so until another takes them up, so they are few.
	spoolWorkers = 4

	// spoolPause is the pause between two tries to move what is spooled.
	spoolPause = time.Second

	// spoolAttempts is how often River counts a move as failed before it sets
	// the event aside; a try that is waiting counts once in some minutes.
	spoolAttempts = 30_000

	// spoolBytes is the most that the file holds. An event that comes above it is
	// refused.
	spoolBytes = 1 << 30
)

var errSpoolFull = errors.New("server: the spool is full")

// A spool is an inbox that puts events into the database, and into a file on
// this machine's disk while that is away. The file is an inbox of its own, on
// SQLite, whose deliveries are Puts into the database: so it is as durable, and
// shares its commits as well. Once the database was away, events go into the
// file at once, so that no sender waits for what is known not to answer; the
// first event that is moved ends that.
//
// What is put twice, because the answer of a Put was lost, changes nothing.
type spool struct {
	*sqldb.Inbox // the database's
	put          func(ctx context.Context, es ...core.Envelope) error

	file *sqldb.Inbox
	db   *sqldb.Database // the file's
	most int64           // bytes of the file
	away atomic.Bool
	log  *slog.Logger
}

var _ core.Inbox = (*spool)(nil)

// openSpool opens the file, which is made where it is not there.
func openSpool(ctx context.Context, path string, in *sqldb.Inbox, log *slog.Logger) (*spool, error) {
	db, err := sqldb.Open(ctx, "sqlite://"+path)
	if err != nil {
		return nil, fmt.Errorf("server: spool: %w", err)
	}
	s := &spool{Inbox: in, put: in.Put, db: db, most: spoolBytes, log: log}
	s.file, err = sqldb.NewInbox(db, s.move, sqldb.InboxOptions{
		Workers: spoolWorkers, MaxAttempts: spoolAttempts, Backoff: func(int) time.Duration { return spoolPause }, Logger: log,
	})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return s, nil
}

// Put implements core.Inbox. It goes on when the sender has hung up: the event
// comes only once.
func (s *spool) Put(ctx context.Context, es ...core.Envelope) error {
	ctx = context.WithoutCancel(ctx)
	if !s.away.Load() {
		trying, cancel := context.WithTimeout(ctx, putTime)
		err := s.put(trying, es...)
		cancel()
		if err == nil || sqldb.IsPermanent(err) || errors.Is(err, sqldb.ErrOverloaded) {
			return err
		}
		if s.away.CompareAndSwap(false, true) {
			s.log.Error("database away: events are spooled")
		}
	}
	if fault.Mutated("spooled is not kept") {
		return nil
	}
	return s.hold(ctx, es)
}

// hold puts events into the file while it has room.
func (s *spool) hold(ctx context.Context, es []core.Envelope) error {
	used, err := s.db.UsedBytes(ctx)
	if err != nil {
		return err
	}
	if used >= s.most {
		s.log.Error("spool full: events are refused", "bytes", used)
		return errSpoolFull
	}
	return s.file.Put(ctx, es...)
}

// move is the delivery of a spooled event: it waits for the database.
func (s *spool) move(ctx context.Context, e core.Envelope) error {
	for {
		trying, cancel := context.WithTimeout(ctx, putTime)
		err := s.put(trying, e)
		cancel()
		if err == nil && s.away.CompareAndSwap(true, false) {
			s.log.Info("database back: spooled events move into it")
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
