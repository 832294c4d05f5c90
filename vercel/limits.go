package vercel

import "time"

// Limits of Vercel's functions, from its documentation, and our own choices.
const (
	// MaxBodyBytes is the most bytes of a body, to a function and from it: 4.5 MB.
	// Vercel answers 413 FUNCTION_PAYLOAD_TOO_LARGE above it.
	MaxBodyBytes = 4_500_000

	// MaxDuration is how long a request may take, a choice: vercel.json sets it,
	// and a test compares the two. Vercel ends what takes longer.
	MaxDuration = 30 * time.Second

	// margin is reserved before the end of a request, so that it is answered.
	margin = 3 * time.Second

	// drainBudget is how long an event's request begins deliveries before it
	// replies, and drainDeadline when it replies at the latest. The event is
	// durable by then, and its sender waits for 20 s (docs/events.md#envelope).
	// What hangs between the two has failed.
	drainBudget   = 2 * time.Second
	drainDeadline = 10 * time.Second

	// cronBudget is how long a cron's request begins deliveries; cronDeadline
	// leaves the sweep some time.
	cronBudget   = 12 * time.Second
	cronDeadline = 20 * time.Second

	// toolPrepareTimeout is how long a tool call waits for an unavailable database
	// when its instance starts: the caller hears silence. The tool may not need it.
	toolPrepareTimeout = 2 * time.Second

	// drainLimit is how many events one request delivers, so that in a burst it
	// does not work for all the others.
	drainLimit = 24

	// maintainInterval is how often an instance recovers what others have left, in
	// addition to the cron, which always does.
	maintainInterval = 15 * time.Second

	// maxConnections is how many one instance has open. Many instances share a
	// pooler, and each of them answers few requests at a time.
	maxConnections = 4

	// cronLimit is more than one cron request has time for.
	cronLimit = 100_000

	// shutdownTimeout is how long requests may take to end when the instance stops.
	shutdownTimeout = 5 * time.Second
)
