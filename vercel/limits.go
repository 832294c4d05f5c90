package vercel

import "time"

// What Vercel promises and where it stops. Sources are the limits of functions
// in Vercel's documentation, but for those that are choices.
const (
	// MaxBody is the most bytes of a body, to a function and from it: 4.5 MB.
	// Vercel answers 413 FUNCTION_PAYLOAD_TOO_LARGE above it.
	MaxBody = 4_500_000

	// Duration is how long a request may take, a choice: vercel.json sets it,
	// and a test compares the two. Vercel ends what takes longer.
	Duration = 30 * time.Second

	// margin is kept free before the end of a request, so that it is answered.
	margin = 3 * time.Second

	// drainTime is how long an event's request begins deliveries before it
	// replies, and drainCut when it replies at the latest. The event is safe by
	// then, and its sender waits for 20 s (docs/events.md#envelope). What hangs
	// for the time between has failed.
	drainTime = 2 * time.Second
	drainCut  = 10 * time.Second

	// cronTime is how long a cron's request begins deliveries; cronCut leaves the
	// sweep some time.
	cronTime = 12 * time.Second
	cronCut  = 20 * time.Second

	// toolPrepare is how long a tool call waits for a database that is away when its
	// instance starts: the caller hears silence. The tool may not need it.
	toolPrepare = 2 * time.Second

	// drainLimit is how many events one request delivers, so that in a flood it
	// does not work for all the others.
	drainLimit = 24

	// tendEvery is how often an instance looks for what others have left, beside
	// the cron that always does.
	tendEvery = 15 * time.Second

	// connections is the most of them that one instance has open. Many instances
	// share a pooler, and each of them answers few requests at a time.
	connections = 4

	// cronLimit is more than one cron request has time for.
	cronLimit = 100_000

	// grace is how long requests may take to end when the instance is told to.
	grace = 5 * time.Second
)
