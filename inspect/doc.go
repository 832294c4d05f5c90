// Package inspect serves the inspector: a page that shows calls as they happen,
// their transcripts, which tool was slow, and why the assistant would ignore a
// reply.
//
//	recorder := inspect.NewRecorder()
//	p.Observe(recorder.Observe)
//	page := inspect.New(store, &inspect.Options{Recorder: recorder, Processor: p})
//	go recorder.Run(ctx, store)
//	err := page.Run(ctx, "127.0.0.1:0", func(url string) { fmt.Println(url) })
//
// It works on every [records.Store], and has a listener of its own: it is never
// served by the backend's. On an address that other machines can reach it
// requires a secret.
//
// What people said, and numbers and names, is obscured until a visitor asks for
// it, which is recorded in the audit log. The page loads nothing from other
// hosts.
package inspect
