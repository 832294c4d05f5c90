// Package envelope encodes accepted events as messages of a queue or jobs of a
// database, and offloads messages that a queue does not take (the claim check
// pattern).
//
// Its errors never quote a message, which holds what callers said. It imports
// no driver, so that every platform can use it, WASM included.
//
//	messages := envelope.Messages{Store: store, MaxBytes: 1 << 20, TTL: 15 * 24 * time.Hour}
//	message, err := messages.Pack(ctx, es)   // send it
//	es, err := messages.Unpack(ctx, message) // received
package envelope
