// Package platform has the options that every platform's Main takes: server, aws,
// gcp, vercel and cloudflare.
//
//	func main() {
//		db := clinic.Open()
//		os.Exit(server.Main(clinic.New(db), platform.Options{
//			Start: db.Check,
//			Ready: db.Ping,
//			Close: []func(context.Context) error{db.Close},
//		}))
//	}
//
// Hooks of what a backend does (OnStart, Observe, OnFailure) are the
// [core.Processor]'s. What depends on where a backend is deployed (addresses,
// secrets, retention) comes from the environment.
package platform

import (
	"context"
	"log/slog"
	"time"

	"github.com/serverurl/serverurl/core"
)

// Options change how a platform runs a backend. The zero value of each field means
// its default.
type Options struct {
	// Logger receives all logs, which hold no secrets and nothing that callers
	// said. Default: JSON lines on stderr, with the field names of the platform.
	Logger *slog.Logger

	// Start is called once, with the Processor bound and a client for [core.HTTP],
	// before the platform accepts its first request: it is the place to check what
	// the backend needs. An error ends the start, with a line that has the error's
	// text, and a panic with one that has its place; on Workers, every request is then answered 503. ctx ends when the
	// platform's time for it is over: 30 s, or 8 s on AWS and Workers. Default: no
	// check.
	Start func(ctx context.Context) error

	// Ready reports whether the backend can answer now: an error makes /readyz
	// fail with 503 on a server, and a health check of a load balancer on AWS. The
	// other platforms do not ask. It is called often, from several goroutines, and
	// ctx gives it 2 s. Its error is logged by its type, and never sent; a
	// panic counts as an error, and is logged with its place. Default:
	// only the platform's own check.
	Ready func(ctx context.Context) error

	// Close are called at the end, the last one first, after all requests,
	// deliveries and tools have ended; also if the start has failed. ctx gives them
	// 3 s together. On AWS they have 400 ms, and are called only if there are any; in
	// a handler of Vercel, Deliver and Sweep of Google Cloud, and Workers, where
	// nothing announces the end, they are called only if the start fails. A
	// panic of one does not keep the others from being called; nil is skipped.
	// Default: none.
	Close []func(ctx context.Context) error

	// Limits bound bodies. A platform's own limit still applies. Default: see
	// [core.Limits].
	Limits core.Limits

	// Routes answers requests to paths that are not ours, on server and vercel:
	// ours are /, /events, /tools, /healthz, /readyz and /cron, and all below
	// them. Nobody has authenticated these requests. A body may have as many bytes
	// as Limits allows, and the server's own timeouts apply. Default: 404.
	Routes Routes

	// Now is the clock of the Processor. Default: time.Now.
	Now func() time.Time
}
