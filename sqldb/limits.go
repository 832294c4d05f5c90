package sqldb

import "time"

// Design constants. A plain server has no platform that sets limits, so these
// are choices, each with its reason.
const (
	// maxQueuedBytes bounds the events that wait for a commit. Above it Put returns
	// ErrOverloaded at once: refusing a sender is better than running out of
	// memory.
	maxQueuedBytes = 64 << 20

	// One commit takes at most this many events and bytes. Shared by 256, the cost
	// of one fsync is negligible; 8 MB keep the lock short.
	maxBatchJobs  = 256
	maxBatchBytes = 8 << 20

	// retryTime is how long a commit is retried while the database is unavailable
	// or busy. A sender sends once, so a restart of the database should cost it
	// time and not the event; it gives up after about 20 s (docs/events.md).
	retryTime = 5 * time.Second

	// startTimeout is how long the start of the deliveries is retried while the
	// database is unavailable or busy.
	startTimeout = time.Minute

	// commitTimeout bounds one attempt. A database that hangs counts as
	// unavailable.
	commitTimeout = 10 * time.Second

	// deliveryTimeout is the deadline of one delivery. It is above the 50 s that
	// core gives handlers, so that theirs ends first and is reported.
	deliveryTimeout = time.Minute

	// rescueAfter is the age at which a delivery counts as lost with its process
	// and its event is made available again: not before the delivery's deadline.
	rescueAfter = deliveryTimeout + 15*time.Second

	// sweepTimeout bounds one sweep; the next continues where it stopped.
	sweepTimeout = 2 * time.Minute

	// defaultWorkers is how many deliveries run at a time on one instance. They
	// wait for handlers more than they compute.
	defaultWorkers = 32

	// So many deliveries begin at a time while events are being accepted. They
	// take the processors and SQLite's only writer from senders that wait for an
	// answer: with all workers the 99th percentile is four times as long.
	throttleSQLite   = 2
	throttlePostgres = 4

	// throttleWait is the longest that a delivery waits for that, so that slow
	// handlers do not block all others, and throttlePoll how often it checks
	// whether events are still being accepted.
	throttleWait = 3 * time.Second
	throttlePoll = 50 * time.Millisecond

	// maxInflightBytes bounds the envelopes that are being delivered at a time;
	// each is in memory about twice. A delivery that cannot begin within
	// inflightWait is tried again a second later.
	maxInflightBytes = 24 << 20
	inflightWait     = 5 * time.Second

	// The attempts, and pauses from 2 s to an hour that grow fourfold: a handler
	// whose remote system is down is retried for about three and a half hours.
	defaultMaxAttempts = 10
	firstBackoff       = 2 * time.Second
	lastBackoff        = time.Hour

	// completedRetention is how long an event stays in the inbox after its
	// delivery. River's cleaner, which deletes it, runs every 30 s.
	completedRetention = time.Second

	// defaultStopTimeout is how long running deliveries may take to end at a stop,
	// and abandonAfter how long after that Run returns without them.
	defaultStopTimeout = 10 * time.Second
	abandonAfter       = 5 * time.Second

	// postgresCommitters is how many commits run concurrently. SQLite has one
	// writer.
	postgresCommitters = 2

	// maxGroupCommit is how many commits of the store share a transaction of
	// SQLite's writer: in general all of the deliveries and a burst of tool calls.
	maxGroupCommit = 64

	// fetchPause is the shortest time between two fetches. A Put triggers one, but
	// River does not notify of a Put within the client's FetchCooldown after
	// another; what that misses is found after pollPause, as is everything if
	// notifications do not arrive.
	fetchPause = 10 * time.Millisecond
	pollPause  = 100 * time.Millisecond

	// sqliteReaders is the number of connections that read a SQLite file besides
	// the one that writes; postgresConnections the size of the pool on
	// PostgreSQL, unless the URL sets pool_max_conns.
	sqliteReaders       = 8
	postgresConnections = 20
)
