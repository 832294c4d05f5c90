//go:build emulate

package cloudflare

// insecure is true in what `serverurl emulate cloudflare` builds: it listens on
// loopback only.
const insecure = true
