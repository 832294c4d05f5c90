// Package vercel runs a [core.Processor] on Vercel's Go runtime, with PostgreSQL.
// Calls, tool records and accepted events are in one database, behind a pooler.
//
// It never leaves anything running after a reply, because Vercel freezes an
// instance then. An event is in the database before it is answered 200; the
// request that brought it delivers what is pending, for up to two seconds,
// before it replies. Tool calls do not wait for that. What remains is delivered
// by the next event, and by a cron that calls [CronPath] every minute with a
// secret of its own.
//
// A whole program, as in cmd/vercel, which vercel.json at the root deploys as a
// server:
//
//	func main() { os.Exit(vercel.Main(app.New())) }
//
// Or a function, in a file of the folder api:
//
//	var handle = vercel.Handler(app.New())
//
//	func Handler(w http.ResponseWriter, r *http.Request) { handle(w, r) }
package vercel
