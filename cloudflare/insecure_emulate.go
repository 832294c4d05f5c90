//go:build emulate

package cloudflare

// anyone is true in what `serverurl emulate cloudflare` builds: it listens on
// loopback only.
const anyone = true
