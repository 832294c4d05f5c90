package sqldb

import "time"

// What this room promises and where it stops. A plain server has no platform
// above it that sets limits, so these are choices, each with its reason.
const (
	// maxQueued bounds the bytes of events that wait for a commit. Above it Put
	// answers ErrOverloaded at once: a sender that is told "busy" is better off
	// than a process that runs out of memory.
	maxQueuedBytes = 64 << 20

	// One commit takes at most this many events and bytes. 256 share the price
	// of one fsync until it hardly counts; 8 MB keep the lock short.
	maxBatchJobs  = 256
	maxBatchBytes = 8 << 20

	// patience is how long a commit is tried again while the database is away
	// or busy. A sender sends once, so a restart of the database should cost it
	// time and not the event; it gives up after about 20 s (docs/events.md).
	retryTime = 5 * time.Second

	// startPatience is how long the start of the deliveries is tried again while
	// the database is away or busy.
	startTimeout = time.Minute

	// commitTime bounds one try. A database that hangs is one that is away.
	commitTimeout = 10 * time.Second

	// deliveryTime is the deadline of one delivery. It is above the 50 s that the
	// core gives handlers, so that theirs ends first and says so.
	deliveryTimeout = time.Minute

	// rescueAfter is the age at which a delivery counts as lost with its process
	// and is given out again: not before its own deadline.
	rescueAfter = deliveryTimeout + 15*time.Second

	// sweepTime bounds one sweep; the next goes on where it stopped.
	sweepTimeout = 2 * time.Minute

	// workers is how many deliveries run at a time on one instance. They wait
	// for handlers more than they compute.
	defaultWorkers = 32

	// Of these begin while events are being accepted. They take the processors
	// and SQLite's only writer from who waits for an answer: with all workers
	// the slowest hundredth waits four times as long.
	throttleSQLite   = 2
	throttlePostgres = 4

	// rushWait is the longest that a delivery waits for that, so that slow
	// handlers do not keep out all others, and rushLook how often it looks
	// whether the rush is over.
	throttleWait = 3 * time.Second
	throttlePoll = 50 * time.Millisecond

	// deliverBytes is the most bytes of envelopes that are being delivered at a
	// time; each is in memory about twice. What finds no room in roomWait comes
	// again a second later.
	maxInflightBytes = 24 << 20
	inflightWait     = 5 * time.Second

	// attempts, and pauses from 2 s to an hour that grow fourfold: a handler
	// whose far side is down is tried for about three hours and a half.
	defaultMaxAttempts = 10
	firstBackoff       = 2 * time.Second
	lastBackoff        = time.Hour

	// keepDone is how long an event stays in the inbox after its delivery. It is
	// taken away by a cleaner that comes every 30 s.
	completedRetention = time.Second

	// stopTime is how long running deliveries may take to end at a stop, and
	// hardStop how long after that until they are left behind.
	defaultStopTimeout = 10 * time.Second
	abandonAfter       = 5 * time.Second

	// postgresCommitters is how many commits are on their way at once. SQLite has
	// one writer.
	postgresCommitters = 2

	// maxShared is how many commits of the store share a transaction of SQLite's
	// writer: all that the deliveries and a rush of tool calls have, in general.
	maxGroupCommit = 64

	// fetchPause is the shortest time between two looks into the inbox. A Put
	// wakes it, but River keeps quiet about a Put that comes within the client's
	// FetchCooldown after another; what that misses is found after pollPause, as
	// is everything where notifications do not come through.
	fetchPause = 10 * time.Millisecond
	pollPause  = 100 * time.Millisecond

	// readers is the number of connections that read a SQLite file beside the
	// one that writes; connections the size of the pool on Postgres, unless the
	// URL says pool_max_conns.
	sqliteReaders       = 8
	postgresConnections = 20
)
