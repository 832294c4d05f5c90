//go:build !emulate

package cloudflare

// anyone lets everybody send where no secret is set. What is deployed never does.
const anyone = false
