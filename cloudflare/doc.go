// Package cloudflare runs a [core.Processor] as a Cloudflare Worker, with calls
// in D1, accepted events in Queues, and large bodies in R2.
//
// It never opens a connection or reads a file: all input and output goes
// through the JavaScript around it, as [Bindings]. Nothing that it starts
// outlives the request's waitUntil. No error and no log line quotes a payload or
// a service's message. An event is in the queue before it is answered 200.
//
// A whole program, as in cmd/cloudflare:
//
//	func init() { cloudflare.Main(app.New()) }
//
//	func main() {} // never called
//
// `go run ./cloudflare/build` compiles it to WASM; cloudflare/js loads it and
// gives it the bindings of wrangler.jsonc. docs/cloudflare.md has the commands.
package cloudflare
