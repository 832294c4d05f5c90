package sqldb

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
)

// InboxOptions change an Inbox. The zero value of each field means its default.
type InboxOptions struct {
	// Sweep is called every SweepInterval, on one of the instances that share the
	// database. Default: only the store's expired records are swept.
	Sweep func(context.Context) error

	// SweepInterval is the time between sweeps. Default: 1 minute.
	SweepInterval time.Duration

	// MaxAttempts is how often the delivery of an event is attempted before it is
	// a dead letter. Default: 10.
	MaxAttempts int

	// Backoff returns how long to wait after the given attempt, counted from 1,
	// failed. Default: 2 s, 8 s, 32 s … up to an hour, with jitter.
	Backoff func(attempt int) time.Duration

	// Workers is how many deliveries run at a time. Default: 32.
	Workers int

	// StopTimeout is how long running deliveries may take to end when Run is to
	// end. Default: 10 s; then their contexts are canceled, and the events are
	// redelivered by the next Run.
	StopTimeout time.Duration

	// NoWorkers is for an instance that never calls Run: each Put commits by
	// itself, and events are delivered by Drain.
	NoWorkers bool

	// Tag returns what stands for a call in the lines of deliveries that failed: see
	// [core.Processor.LogTag]. Default: they do not name the call.
	Tag func(event.CallID) string

	// Logger receives warnings, with numbers but no stored text in them. Default:
	// slog.Default().
	Logger *slog.Logger
}

// An Inbox keeps accepted events in the database, as jobs of River, and
// delivers each until that succeeds. It is safe for concurrent use, also by
// several processes on one database.
//
// Reports are delivered before other events, and those before conversation
// updates. The same order applies to Puts that wait for the database when there
// are more than one commit takes; then only the newest of a call's waiting
// conversation updates is stored if it repeats the others entirely. While
// events are being accepted, few deliveries begin.
//
// A delivery that fails is retried after growing pauses. After the last attempt
// the event is a dead letter: it is kept, and [Inbox.DeadLetters] lists it.
type Inbox struct {
	db       *Database
	jobs     jobs
	fetcher  *fetcher
	batcher  *batcher
	throttle chan struct{}       // see waitForPuts
	inflight *semaphore.Weighted // bytes of the envelopes that are being delivered
	deliver  func(context.Context, core.Envelope) error
	o        InboxOptions
	river    riverLog
}

var _ core.Inbox = (*Inbox)(nil)

// jobs is the part of a River client that this package uses; a client has
// another type for each driver.
type jobs interface {
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	Stopped() <-chan struct{}
	InsertManyFast(ctx context.Context, params []river.InsertManyParams) (int, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobGet(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobDelete(ctx context.Context, id int64) (*rivertype.JobRow, error)
}

// Names of River's queues. The sweep has its own, so that no burst of events
// delays it.
const (
	eventQueue = "serverurl_events"
	sweepQueue = "serverurl_sweep"
)

// NewInbox returns an inbox on db that passes envelopes to deliver. It does not
// deliver before Run or Drain is called.
func NewInbox(db *Database, deliver func(context.Context, core.Envelope) error, o InboxOptions) (*Inbox, error) {
	o.SweepInterval = cmp.Or(o.SweepInterval, time.Minute)
	o.MaxAttempts = cmp.Or(o.MaxAttempts, defaultMaxAttempts)
	o.Workers = cmp.Or(o.Workers, defaultWorkers)
	o.StopTimeout = cmp.Or(o.StopTimeout, defaultStopTimeout)
	if o.Backoff == nil {
		o.Backoff = defaultBackoff
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	in := &Inbox{
		db: db, deliver: deliver, o: o,
		throttle: make(chan struct{}, throttleSQLite),
		inflight: semaphore.NewWeighted(maxInflightBytes),
	}
	config, err := in.config()
	if err != nil {
		return nil, err
	}
	committers := 1
	if db.pool != nil {
		committers = postgresCommitters
		in.throttle = make(chan struct{}, throttlePostgres)
		err = newClient(in, riverpgxv5.New(db.pool), config)
	} else {
		config.ReindexerIndexNames = []string{} // a reindex would lock the file
		err = newClient(in, riversqlite.New(db.write), config)
	}
	if err != nil {
		return nil, fmt.Errorf("sqldb: inbox: %w", err)
	}
	in.batcher = newBatcher(committers, func(ctx context.Context, jobs []river.InsertManyParams) error {
		_, err := in.jobs.InsertManyFast(ctx, jobs)
		return err
	})
	return in, nil
}

func newClient[TTx any](in *Inbox, driver riverdriver.Driver[TTx], config *river.Config) (err error) {
	in.fetcher = &fetcher{
		Executor: driver.GetExecutor(),
		undo:     undoFetch(in.db.write, in.db.pool != nil),
		failed:   map[string]time.Time{},
	}
	in.jobs, err = river.NewClient[TTx](fetchingDriver[TTx]{driver, in.fetcher}, config)
	return err
}

func (in *Inbox) config() (*river.Config, error) {
	ws := river.NewWorkers()
	if err := errors.Join(
		river.AddWorkerSafely(ws, &deliverer{in: in}),
		river.AddWorkerSafely(ws, &sweeper{in: in}),
	); err != nil {
		return nil, fmt.Errorf("sqldb: inbox: %w", err)
	}
	return &river.Config{
		CompletedJobRetentionPeriod: completedRetention,
		CancelledJobRetentionPeriod: -1,
		DiscardedJobRetentionPeriod: -1,                     // dead letters are kept
		FetchCooldown:               river.FetchCooldownMin, // see pollPause
		FetchPollInterval:           time.Second,
		JobTimeout:                  deliveryTimeout,
		RescueStuckJobsAfter:        rescueAfter,
		MaxAttempts:                 in.o.MaxAttempts,
		RetryPolicy:                 retryPolicy(in.o.Backoff),
		SoftStopTimeout:             in.o.StopTimeout,
		Logger:                      slog.New(quietHandler{in.o.Logger.Handler(), &in.river}),
		Workers:                     ws,
		Queues: map[string]river.QueueConfig{
			eventQueue: {MaxWorkers: in.o.Workers, FetchCooldown: fetchPause, FetchPollInterval: pollPause},
			sweepQueue: {MaxWorkers: 1},
		},
		PeriodicJobs: []*river.PeriodicJob{river.NewPeriodicJob(
			river.PeriodicInterval(in.o.SweepInterval),
			func() (river.JobArgs, *river.InsertOpts) { return sweep{}, nil },
			&river.PeriodicJobOpts{ID: "serverurl_sweep", RunOnStart: true},
		)},
		PollOnly: in.db.pollOnly,
	}, nil
}

// Put implements core.Inbox. Concurrent calls share a commit. It fails with
// ErrOverloaded if too many events wait for the database, and with ErrStopped
// after Run. If ctx ends first, the events may or may not be stored.
func (in *Inbox) Put(ctx context.Context, es ...core.Envelope) error {
	if len(es) == 0 {
		return nil
	}
	p := &put{jobs: make([]river.InsertManyParams, len(es)), priority: lowestPriority}
	for i, e := range es {
		args, err := pack(e)
		if err != nil {
			return err
		}
		p.size += len(args.Packed) + len(e.Body) // the caller holds its body too while it waits
		p.jobs[i] = river.InsertManyParams{Args: args, InsertOpts: &river.InsertOpts{Queue: eventQueue, Priority: priority(e.Type)}}
		p.priority = min(p.priority, priority(e.Type))
	}
	if e := es[0]; len(es) == 1 && e.Type == event.TypeConversationUpdate && e.Call != "" && e.RedriveCount == 0 {
		p.update = &update{call: e.Call, received: e.Received, body: e.Body}
	}
	if in.o.NoWorkers {
		p.ctx = ctx
		return in.batcher.store(ctx, []*put{p}) // on the caller's time
	}
	return in.batcher.put(ctx, p)
}

// lowestPriority is the last that River knows.
const lowestPriority = 4

// priority is the priority of an event's job; 1 is delivered first.
func priority(t event.Type) int {
	switch t {
	case event.TypeReport:
		return 1
	case event.TypeStatusUpdate, event.TypeHang, event.TypeError:
		return 2
	case event.TypeToolCalls, event.TypeFunctionCall:
		return 3
	case event.TypeConversationUpdate:
		return lowestPriority
	}
	return 3 // an unknown type
}

// Run delivers and sweeps until ctx ends. Then it commits the Puts that still
// wait, lets running deliveries end for InboxOptions.StopTimeout, and returns
// nil. It returns an error if the database cannot be reached for a minute at
// the start, or can no longer be trusted: then the process should end, so that
// the next start looks for damage.
func (in *Inbox) Run(ctx context.Context) error {
	working, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	batching, stopBatching := context.WithCancel(ctx)
	defer stopBatching()
	batched := make(chan error, 1)
	go func() { batched <- in.batcher.run(batching) }() // events are accepted before deliveries have started
	started, err := in.start(ctx, working)
	if !started {
		stopBatching()
		return errors.Join(err, <-batched)
	}
	err = <-batched
	in.river.stop()
	stop()
	select {
	case <-in.jobs.Stopped():
		return err
	case <-time.After(in.o.StopTimeout + abandonAfter):
		return errors.Join(err, errors.New("sqldb: a delivery ignores its context and was abandoned"))
	}
}

// start starts the deliveries. It waits for a database that another program has
// locked or that is restarting, because this process already accepts requests.
func (in *Inbox) start(ctx, working context.Context) (started bool, err error) {
	logged := false
	for begin := time.Now(); ; {
		err := wrap("start the inbox", in.jobs.Start(working))
		if err == nil {
			return true, nil
		}
		if !kindOf(err).temporary() || time.Since(begin) > startTimeout {
			return false, err
		}
		if !logged {
			in.o.Logger.LogAttrs(ctx, slog.LevelWarn, "inbox not started yet", slog.String("reason", errDatabase.Error()))
			logged = true
		}
		if err := in.jobs.Stop(working); err != nil { // so that it can be started again
			return false, wrap("start the inbox", err)
		}
		if sleep(ctx, rand.N(500*time.Millisecond)) != nil {
			return false, nil
		}
	}
}

// Pending returns up to limit accepted events that are not delivered yet, the
// oldest first. Dead letters are not among them.
func (in *Inbox) Pending(ctx context.Context, limit int) ([]core.Envelope, error) {
	params := river.NewJobListParams().Kinds(eventArgs{}.Kind()).
		States(rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled).
		OrderBy(river.JobListOrderByID, river.SortOrderAsc)
	var es []core.Envelope
	for len(es) < limit {
		n := min(limit-len(es), maxListed)
		found, err := in.jobs.JobList(ctx, params.First(n))
		if err != nil {
			return nil, wrap("list pending events", err)
		}
		for _, job := range found.Jobs {
			e, err := unpackArgs(job.EncodedArgs)
			if err != nil {
				return nil, err
			}
			es = append(es, e)
		}
		if len(found.Jobs) < n {
			break
		}
		params = params.After(found.LastCursor)
	}
	return es, nil
}
