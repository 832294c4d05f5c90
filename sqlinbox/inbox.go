package sqlinbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivertype"
	"golang.org/x/sync/semaphore"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// Options change an Inbox. The zero value of each field means its default.
type Options struct {
	// Sweep is called every SweepEvery, on one of the instances that share the
	// database. Default: only the store's expired records are swept.
	Sweep func(context.Context) error

	// SweepEvery is the time between sweeps. Default 1 minute.
	SweepEvery time.Duration

	// Attempts is how often an event is delivered until it is dead. Default 10.
	Attempts int

	// Pause is how long to wait after the given attempt, counted from 1, failed.
	// Default: 2 s, 8 s, 32 s … up to an hour, each somewhere in its upper half.
	Pause func(attempt int) time.Duration

	// Workers is how many deliveries run at a time. Default 32.
	Workers int

	// Stop is how long running deliveries may take to end when Run is to end.
	// Default 10 s; then their contexts are canceled, and they are delivered
	// again by whoever runs next.
	Stop time.Duration

	// Inline is for an instance that never calls Run: each Put commits by
	// itself, and events are delivered by Drain.
	Inline bool

	// Logger gets warnings, with numbers but no texts in them. Default:
	// slog.Default().
	Logger *slog.Logger
}

// An Inbox keeps accepted events in the database, as jobs of River, and
// delivers each until that succeeds. It is safe for concurrent use, by several
// processes too.
//
// Reports are delivered before other events, and those before conversation
// updates, which may wait in a rush. So it is with what waits for the database
// when more does than one commit holds; then of a call's conversation updates
// that wait the newest is stored, and answers for those that it repeats whole.
// While events are being accepted few deliveries begin. An event whose delivery fails is
// delivered again after pauses that grow. After the last attempt it is dead:
// kept, listed by Dead, and delivered again by Redrive.
type Inbox struct {
	db      *Database
	jobs    jobs
	exec    *fetcher
	batcher *batcher
	rush    chan struct{}       // see enter
	room    *semaphore.Weighted // bytes of the envelopes that are being delivered
	deliver func(context.Context, core.Envelope) error
	o       Options
}

var _ core.Inbox = (*Inbox)(nil)

// jobs is what this package uses of a River client, which is another type for
// every driver.
type jobs interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Stopped() <-chan struct{}
	InsertManyFast(ctx context.Context, params []river.InsertManyParams) (int, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobDelete(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
}

// Names of River's queues. The sweep has its own, so that no flood of events
// keeps it waiting.
const (
	eventQueue = "serverurl_events"
	sweepQueue = "serverurl_sweep"
)

// New returns an inbox on db that hands envelopes to deliver. Nothing
// moves before Run.
func New(db *Database, deliver func(context.Context, core.Envelope) error, o Options) (*Inbox, error) {
	o.SweepEvery = cmp.Or(o.SweepEvery, time.Minute)
	o.Attempts = cmp.Or(o.Attempts, attempts)
	o.Workers = cmp.Or(o.Workers, workers)
	o.Stop = cmp.Or(o.Stop, stopTime)
	if o.Pause == nil {
		o.Pause = pauseAfter
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	in := &Inbox{db: db, deliver: deliver, o: o, rush: make(chan struct{}, rushSQLite), room: semaphore.NewWeighted(deliverBytes)}
	config, err := in.config()
	if err != nil {
		return nil, err
	}
	committers := 1
	if db.pool != nil {
		committers = postgresCommitters
		in.rush = make(chan struct{}, rushPostgres)
		err = newClient(in, riverpgxv5.New(db.pool), config)
	} else {
		config.ReindexerIndexNames = []string{} // a reindex would lock the file
		err = newClient(in, riversqlite.New(db.write), config)
	}
	if err != nil {
		return nil, fmt.Errorf("sqlinbox: inbox: %w", err)
	}
	in.batcher = newBatcher(committers, func(ctx context.Context, jobs []river.InsertManyParams) error {
		_, err := in.jobs.InsertManyFast(ctx, jobs)
		return err
	})
	return in, nil
}

func newClient[TTx any](in *Inbox, driver riverdriver.Driver[TTx], config *river.Config) (err error) {
	in.exec = &fetcher{
		Executor: driver.GetExecutor(),
		undo:     undoFetch(in.db.write, in.db.pool != nil),
		failed:   map[string]time.Time{},
	}
	in.jobs, err = river.NewClient[TTx](fetchingDriver[TTx]{driver, in.exec}, config)
	return err
}

func (in *Inbox) config() (*river.Config, error) {
	ws := river.NewWorkers()
	if err := errors.Join(
		river.AddWorkerSafely(ws, &deliverer{in: in}),
		river.AddWorkerSafely(ws, &sweeper{in: in}),
	); err != nil {
		return nil, fmt.Errorf("sqlinbox: inbox: %w", err)
	}
	c := &river.Config{
		CompletedJobRetentionPeriod: keepDone,
		CancelledJobRetentionPeriod: -1,
		DiscardedJobRetentionPeriod: -1,                     // the dead are kept
		FetchCooldown:               river.FetchCooldownMin, // see pollPause
		FetchPollInterval:           time.Second,
		JobTimeout:                  deliveryTime,
		RescueStuckJobsAfter:        rescueAfter,
		MaxAttempts:                 in.o.Attempts,
		RetryPolicy:                 retryPolicy(in.o.Pause),
		SoftStopTimeout:             in.o.Stop,
		Logger:                      slog.New(quiet{in.o.Logger.Handler()}),
		Workers:                     ws,
		Queues: map[string]river.QueueConfig{
			eventQueue: {MaxWorkers: in.o.Workers, FetchCooldown: fetchPause, FetchPollInterval: pollPause},
			sweepQueue: {MaxWorkers: 1},
		},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(
			river.PeriodicInterval(in.o.SweepEvery),
			func() (river.JobArgs, *river.InsertOpts) { return sweep{}, nil },
			&river.PeriodicJobOpts{ID: "serverurl_sweep", RunOnStart: true},
		)},
	}
	c.PollOnly = in.db.pollOnly
	return c, nil
}

// Put implements core.Inbox. Concurrent calls share a commit. It fails with
// ErrOverloaded when too much waits for the database, with ErrStopped after
// Run; when ctx ends first, the events may be stored or not.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	p := &put{jobs: make([]river.InsertManyParams, len(es)), lane: updateLane}
	for i, e := range es {
		packed, err := pack(e)
		if err != nil {
			return err
		}
		p.size += len(packed.Packed) + len(e.Body) // who waits holds its body too
		p.jobs[i] = river.InsertManyParams{Args: packed, InsertOpts: &river.InsertOpts{Queue: eventQueue, Priority: priority(e.Type)}}
		p.lane = min(p.lane, priority(e.Type))
	}
	if e := es[0]; len(es) == 1 && e.Type == event.TypeConversationUpdate && e.Call != "" && e.RedriveCount == 0 {
		p.update = &update{call: e.Call, received: e.Received, body: e.Body}
	}
	if in.o.Inline {
		return in.putInline(ctx, p.jobs, p.size)
	}
	return in.batcher.putIn(ctx, p)
}

// updateLane is the last lane.
const updateLane = 4

// priority is the lane of an event, 1 first.
func priority(t event.Type) int {
	switch t {
	case event.TypeReport:
		return 1
	case event.TypeStatusUpdate, event.TypeHang, event.TypeError:
		return 2
	case event.TypeToolCalls, event.TypeFunctionCall:
		return 3
	case event.TypeConversationUpdate:
		return updateLane
	}
	return 3 // a type that is not known
}

// Run delivers and sweeps until ctx ends. Then it commits the Puts that still
// wait, lets running deliveries end for the time of Options.Stop, and
// returns nil. It returns an error when the database cannot be reached for a
// minute at the start, or cannot be trusted any more: then the process should
// end, so that the next start looks for damage.
func (in *Inbox) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	batching, stopBatching := context.WithCancel(ctx)
	defer stopBatching()
	batched := make(chan error, 1)
	go func() { batched <- in.batcher.run(batching) }() // events are taken, also while nothing can be delivered yet
	started, err := in.start(ctx, working)
	if !started {
		stopBatching()
		return errors.Join(err, <-batched)
	}
	err = <-batched
	stop()
	select {
	case <-in.jobs.Stopped():
		return err
	case <-time.After(in.o.Stop + hardStop):
		return errors.Join(err, errors.New("sqlinbox: a delivery ignores its context and was left behind"))
	}
}

// start starts the deliveries. A database that another program has locked, or
// that is just being restarted, is waited for: this process takes requests
// already.
func (in *Inbox) start(ctx, working context.Context) (started bool, err error) {
	for begin := time.Now(); ; {
		err := wrap("start the inbox", in.jobs.Start(working))
		if err == nil {
			return true, nil
		}
		if kindOf(err) != errorOfAvailability || time.Since(begin) > startPatience {
			return false, err
		}
		in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "inbox not started yet", slog.String("reason", errDatabase.Error()))
		if err := in.jobs.Stop(working); err != nil { // so that it can be started again
			return false, wrap("start the inbox", err)
		}
		if pause(ctx, rand.N(500*time.Millisecond)) != nil {
			return false, nil
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// Reasons why a delivery failed, as they are stored and logged: what a handler
// says may quote a patient.
var (
	errHandlerFailed = errors.New("handler failed")
	errConflict      = errors.New("store conflict")
	errDeadline      = errors.New("deadline exceeded")
	errPanicked      = errors.New("delivery panicked")
	errDatabase      = errors.New("database failed")
	errOther         = errors.New("delivery failed")
)

// A deliverer does the jobs that are events.
type deliverer struct {
	river.WorkerDefaults[ev]
	in *Inbox
}

// Work implements river.Worker.
func (d *deliverer) Work(ctx context.Context, job *river.Job[ev]) error {
	leave, err := d.in.enter(ctx)
	if err != nil {
		return err
	}
	defer leave()
	size := min(unpackedSize(job.Args), deliverBytes)
	waiting, cancel := context.WithTimeout(ctx, roomWait)
	err = d.in.room.Acquire(waiting, size)
	cancel()
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return river.JobSnooze(time.Second) // which is no attempt
	}
	defer d.in.room.Release(size)
	e, err := unpack(job.Args)
	if err != nil {
		return errUnpackable
	}
	err = safely(func() error { return d.in.deliver(ctx, e) })
	switch {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.Canceled):
		return ctx.Err() // we are stopping: River does not count it as an attempt
	}
	reason := reasonOf(err)
	d.in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "delivery failed", slog.String("reason", reason.Error()),
		slog.Int("attempt", job.Attempt), slog.Bool("dead", job.Attempt >= job.MaxAttempts))
	return reason
}

// enter keeps a delivery waiting for a little while events are being accepted and
// as many as may then begin are running: whoever sends waits for an answer, and
// has one try.
func (in *Inbox) enter(ctx context.Context) (leave func(), err error) {
	look := time.NewTicker(rushLook)
	defer look.Stop()
	for until := time.Now().Add(rushWait); in.batcher.busy() && time.Now().Before(until); {
		select {
		case in.rush <- struct{}{}:
			return func() { <-in.rush }, nil
		case <-look.C:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	return func() {}, nil
}

func safely(f func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errPanicked
		}
	}()
	return f()
}

func reasonOf(err error) error {
	switch {
	case errors.Is(err, errPanicked):
		return errPanicked
	case errors.Is(err, core.ErrHandlerFailed):
		return errHandlerFailed
	case errors.Is(err, records.ErrStale):
		return errConflict
	case errors.Is(err, context.DeadlineExceeded):
		return errDeadline
	case kindOf(err) != errorOther:
		return errDatabase
	}
	return errOther
}

// sweep is the job of looking for what was left behind.
type sweep struct{}

// Kind implements river.JobArgs.
func (sweep) Kind() string { return "serverurl_sweep" }

// InsertOpts implements river.JobArgsWithInsertOpts: one sweep at a time.
func (sweep) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: sweepQueue, UniqueOpts: river.UniqueOpts{ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

type sweeper struct {
	river.WorkerDefaults[sweep]
	in *Inbox
}

// Timeout implements river.Worker.
func (*sweeper) Timeout(*river.Job[sweep]) time.Duration { return sweepTime }

// Work implements river.Worker. It never fails: the next sweep is the retry.
func (s *sweeper) Work(ctx context.Context, _ *river.Job[sweep]) error {
	err := safely(func() error { return s.in.sweep(ctx) })
	if err != nil && ctx.Err() == nil {
		s.in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "sweep failed", slog.String("reason", reasonOf(err).Error()))
	}
	return nil
}

// expiredAtOnce keeps a sweep from holding SQLite's only writer for long.
const expiredAtOnce = 500

func (in *Inbox) sweep(ctx context.Context) error {
	var err error
	if in.o.Sweep != nil {
		err = in.o.Sweep(ctx)
	}
	for {
		n, failed := in.db.store.Sweep(ctx, expiredAtOnce)
		if failed != nil || n < expiredAtOnce {
			return errors.Join(err, failed)
		}
	}
}

// pauseAfter grows fourfold and is random in its upper half, so that what
// failed together does not come back together.
func pauseAfter(attempt int) time.Duration {
	d := lastPause
	if attempt < 10 {
		d = min(lastPause, firstPause<<(2*(attempt-1)))
	}
	return d/2 + rand.N(d/2)
}

type retryPolicy func(attempt int) time.Duration

// NextRetry implements river.ClientRetryPolicy.
func (f retryPolicy) NextRetry(job *rivertype.JobRow) time.Time {
	return time.Now().Add(f(job.Attempt))
}
