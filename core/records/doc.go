// Package records defines the store under a Processor: small records that are
// read by key and written by conditional commits. It holds no data and knows
// no engine.
//
// An engine implements [Store] and passes the suite coretest.Store:
//
//	rs, err := store.Get(ctx, "practice/north")
//	if err != nil {
//		return err
//	}
//	next := records.Record{Key: "practice/north", Value: value, Version: rs[0].Version}
//	if err := store.Commit(ctx, next); errors.Is(err, records.ErrStale) {
//		// another instance changed it in between: read again, decide again
//	}
package records
