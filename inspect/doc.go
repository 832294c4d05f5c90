// Package inspect is the page that a developer keeps open while building an
// assistant, and an operator opens on a bad day: calls as they happen, what was
// said, which tool was slow, and why a reply would be ignored.
//
//	r := inspect.NewRecorder()                       // give r.Observe to core.Platform
//	page, err := inspect.New(inspect.Options{Store: store, Recorder: r})
//	go r.Run(ctx, store)
//	err = page.Run(ctx, "127.0.0.1:0", func(url string) { fmt.Println(url) })
//
// It works on every [records.Store]. It has a listener of its own and is never a
// part of a backend's. On an address that others can reach it needs a secret.
//
// What people said, and numbers and names, is masked. Showing it is a request
// of its own, which is written down. Nothing is loaded from elsewhere.
package inspect
