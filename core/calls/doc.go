// Package calls reads and manages what is stored of calls, for operators and
// their tools: it lists, reads, exports and deletes calls, places legal holds,
// and keeps the audit log. It never changes what a call says; only a
// core.Processor does, from events.
//
//	for after := ""; ; {
//		list, next, err := calls.List(ctx, store, after, 100)
//		if err != nil {
//			return err
//		}
//		for _, c := range list {
//			fmt.Println(c.ID, c.Status, c.MessageCount)
//		}
//		if after = next; after == "" {
//			return nil
//		}
//	}
//
// All functions take the [records.Store] of the backend, and may run while the
// backend does. What they return holds what people said: secrets are redacted
// before events are stored, nothing else is.
package calls
