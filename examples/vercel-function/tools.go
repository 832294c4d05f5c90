//go:build tools

// Package tools holds on to what Vercel's builder adds by itself, so that
// go.mod says its version.
package tools

import _ "github.com/vercel/go-bridge/go/bridge"
