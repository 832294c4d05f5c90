// Package watch shows calls and tool requests in a terminal as they happen: on
// a screen with keys ([RunTUI]), or as one line for each change ([Follow]).
//
//	err := watch.Follow(ctx, store, os.Stdout, nil)
//
// It polls a [records.Store] and never writes to it, so it works with every backend
// on every platform's store.
//
// What people said is obscured until the user asks for it. Follow never writes
// it.
package watch
