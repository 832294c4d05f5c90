// Package callstate holds the state of a call and the rule by which an event
// changes it. [Merge] is a pure function: it reads no clock and does no I/O.
// Around it are the key space ([Directories]) and the functions that read and
// delete what is stored below it. It knows no Processor and runs no handler.
//
//	change := callstate.Merge(state, incoming, nil)
//	if change.NeedsTranscript {
//		transcript, err := callstate.ReadTranscript(ctx, store, id)
//		...
//		change = callstate.Merge(state, incoming, transcript)
//	}
package callstate
