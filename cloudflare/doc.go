// Package cloudflare runs a [core.Processor] as a Cloudflare Worker, with calls
// in D1, accepted events in Queues, and large bodies in R2.
//
//	func init() { cloudflare.Serve(app.New()) }
//
//	func main() {} // never called
//
// is cmd/cloudflare. `go run ./cloudflare/build` compiles it to WASM,
// cloudflare/js loads it and gives it the bindings of wrangler.jsonc.
// docs/cloudflare.md has the commands.
//
// An event is in the queue before it is answered 200. The package never opens a
// connection or reads a file: all input and output goes through the JavaScript
// around it, as a [Host]. Nothing it starts outlives the request's waitUntil.
package cloudflare
