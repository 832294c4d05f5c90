//go:build !wasip1

package cloudflare

// serve creates a worker that is never called: outside of WASM there is no bridge.
func serve(w func(Bindings) worker) { w(nil) }
