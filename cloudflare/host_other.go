//go:build !wasip1

package cloudflare

// serve makes a worker that nobody calls: outside of WASM there is no bridge.
func serve(w func(Host) worker) { w(nil) }
