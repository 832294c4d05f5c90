// Package gcp runs a [core.Processor] as Google Cloud Functions, with calls in
// Firestore and accepted events in Pub/Sub.
//
// It never starts anything that outlives a reply, because the processor has no
// CPU then, and never opens a client that a request does not need. No error and
// no log line quotes a payload or a service's message. An event is in the topic
// before it is answered 200.
//
// A whole program, as in function.go at the root of the module, because Google's
// builder takes the package at the root of what is uploaded:
//
//	var functions = gcp.Main(app.New())
//
//	func Receive(w http.ResponseWriter, r *http.Request)   { functions.Receive(w, r) }
//	func Deliver(ctx context.Context, e event.Event) error { return functions.Deliver(ctx, e) }
//	func Sweep(w http.ResponseWriter, r *http.Request)     { functions.Sweep(w, r) }
//
// Three functions are deployed from it: Receive answers requests, Deliver is
// given the messages of the topic, Sweep is called by a schedule. docs/gcp.md
// has the commands.
package gcp
