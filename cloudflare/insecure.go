//go:build !emulate

package cloudflare

// insecure lets unauthenticated clients in if no secret is set. It is never true
// in what is deployed.
const insecure = false
