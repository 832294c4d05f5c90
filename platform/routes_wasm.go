//go:build wasip1 || js

package platform

// Routes is not served in a Worker.
type Routes = any
