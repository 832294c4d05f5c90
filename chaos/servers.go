package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
	"github.com/serverurl/serverurl/sqldb"
)

// servers are processes of cmd/server on one database.
type servers struct {
	o        options
	log      *os.File
	database string // as the program reaches it
	direct   string // as the checker reaches it
	file     string // of SQLite
	cluster  *pgtest.Cluster
	proxy    *proxy

	mu        sync.Mutex
	processes []*process // nil while one is started
	paused    map[int]bool
}

func openSQLite(o options) (environment, error) {
	s := &servers{o: o, file: filepath.Join(o.dir, "serverurl.db")}
	s.database, s.direct = s.file, s.file
	return s.open()
}

func openPostgres(o options) (_ environment, err error) {
	s := &servers{o: o}
	if s.cluster, err = pgtest.Launch(&pgtest.Options{TCP: true}); err != nil {
		return nil, err
	}
	if s.direct, err = s.cluster.Create("chaos"); err == nil {
		var u *url.URL
		if u, err = url.Parse(s.direct); err == nil {
			if s.proxy, err = newProxy(u.Host); err == nil {
				u.Host = s.proxy.Listen
				s.database = u.String()
			}
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s.open()
}

func (s *servers) open() (environment, error) {
	f, err := os.OpenFile(s.logs(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s.log, s.processes, s.paused = f, make([]*process, s.o.processes), map[int]bool{}
	for i := range s.processes {
		if _, err := s.start(i); err != nil {
			s.close()
			return nil, err
		}
	}
	return s, nil
}

func (s *servers) logs() string    { return filepath.Join(s.o.dir, "log") }
func (s *servers) effects() string { return filepath.Join(s.o.dir, "effects") }

func (s *servers) start(i int) (time.Duration, error) {
	p, err := start(s.o.programs.server, s.log, []string{"-addr", "127.0.0.1:0", "-database", s.database},
		append([]string{"SERVERURL_SECRET=" + secret, backend.EffectsFile + "=" + s.effects()}, s.o.env...))
	if err != nil {
		return 0, fmt.Errorf("%w; see %s", err, s.logs())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.processes[i] = p
	return p.serving, nil
}

func (s *servers) urls() (us []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.processes {
		if p != nil {
			us = append(us, p.root)
		}
	}
	return us
}

// take removes a process from those that receive load; nil if it is removed or
// suspended.
func (s *servers) take(i int) *process {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.paused[i] {
		return nil
	}
	p := s.processes[i]
	s.processes[i] = nil
	return p
}

func (s *servers) kill(r *rand.Rand, all bool) (longest time.Duration, err error) {
	first, n := r.IntN(len(s.processes)), 1
	if all {
		n = len(s.processes)
	}
	var killed []int
	for k := range n {
		i := (first + k) % len(s.processes)
		s.mu.Lock()
		p := s.processes[i]
		s.mu.Unlock()
		if p == nil {
			continue
		}
		p.kill() // it receives load until it is dead
		s.take(i)
		killed = append(killed, i)
	}
	for _, i := range killed {
		took, failed := s.start(i)
		longest, err = max(longest, took), errors.Join(err, failed)
	}
	return longest, err
}

func (s *servers) pause(ctx context.Context, r *rand.Rand, d time.Duration) error {
	return s.pauseOne(ctx, r.IntN(len(s.processes)), d)
}

func (s *servers) pauseOne(ctx context.Context, i int, d time.Duration) error {
	s.mu.Lock()
	p := s.processes[i]
	s.mu.Unlock()
	if p == nil {
		return nil
	}
	if err := pause(p.cmd.Process); err != nil {
		return err
	}
	sleep(ctx, d)
	return resume(p.cmd.Process)
}

func (s *servers) restart(down time.Duration) error {
	if s.cluster == nil {
		return errUnsupported
	}
	if err := s.cluster.Stop(pgtest.Immediate); err != nil {
		return err
	}
	time.Sleep(down)
	return s.cluster.Start()
}

// slow delays the responses of Postgres. For SQLite it holds the write lock
// instead.
func (s *servers) slow(ctx context.Context, r *rand.Rand, maxDelay time.Duration) error {
	if s.proxy != nil {
		return s.proxy.slow(ctx, r, maxDelay)
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteDSN(s.file).Write)
	if err != nil {
		return err
	}
	defer db.Close()
	db.SetMaxOpenConns(1)
	for ctx.Err() == nil {
		tx, err := db.Begin() // with the write lock, as the DSN says
		if err != nil {
			continue // the program holds it
		}
		sleep(ctx, time.Duration(r.Int64N(int64(maxDelay))))
		if err := tx.Rollback(); err != nil {
			return err
		}
		sleep(ctx, time.Duration(r.Int64N(int64(time.Second))))
	}
	return nil
}

func (s *servers) settle(ctx context.Context, d time.Duration) error {
	db, err := sqldb.Open(ctx, s.direct)
	if err != nil {
		return err
	}
	defer db.Close()
	inbox, err := sqldb.NewInbox(db, nil, sqldb.InboxOptions{})
	if err != nil {
		return err
	}
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		es, err := inbox.Pending(ctx, 1)
		if err == nil && len(es) == 0 {
			return nil
		}
	}
	return ctx.Err()
}

func (s *servers) stop() (err error) {
	for i := range s.processes {
		if p := s.take(i); p != nil {
			if failed := p.stop(); failed != nil {
				err = errors.Join(err, fmt.Errorf("a process did not shut down cleanly: %w; see %s", failed, s.logs()))
			}
		}
	}
	return err
}

// maxUndelivered bounds the list of undelivered events.
const maxUndelivered = 1_000_000

func (s *servers) view(ctx context.Context) (*view, error) {
	db, err := sqldb.Open(ctx, s.direct)
	if err != nil {
		return nil, err
	}
	inbox, err := sqldb.NewInbox(db, nil, sqldb.InboxOptions{})
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	v := &view{store: db.Store(), close: db.Close, check: func() error { return nil }}
	waiting, err := inbox.Pending(ctx, maxUndelivered)
	dead, failed := inbox.DeadLetters().List(ctx, 10_000)
	if err := errors.Join(err, failed); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	if len(waiting) == maxUndelivered {
		return nil, errors.Join(fmt.Errorf("more than %d events are undelivered: the checker cannot list them all", maxUndelivered), db.Close())
	}
	for _, e := range waiting {
		v.undelivered = append(v.undelivered, e.Body)
	}
	for _, d := range dead {
		for _, e := range d.Envelopes {
			v.undelivered = append(v.undelivered, e.Body)
		}
	}
	v.dead = len(dead)
	if s.file != "" {
		v.files = []string{s.file, s.file + "-wal"}
		v.check = func() error {
			db, err := sql.Open("sqlite", sqldb.SQLiteDSN(s.file).Read)
			if err != nil {
				return err
			}
			defer db.Close()
			return sqldb.QuickCheck(ctx, db)
		}
	}
	return v, nil
}

// close kills the remaining processes and removes the database.
func (s *servers) close() {
	for _, p := range s.processes {
		if p != nil {
			p.kill()
		}
	}
	if s.proxy != nil {
		s.proxy.Stop()
	}
	if s.cluster != nil {
		s.cluster.Remove()
	}
	if s.log != nil {
		_ = s.log.Close()
	}
}
