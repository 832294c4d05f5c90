// Package emulate is Vercel's Go runtime on this machine: it builds with
// Vercel's own CLI and runs the very output that a deployment uploads, in
// several instances that are frozen after each reply. It has no account, and
// only listens on loopback.
//
//	err := emulate.Run(ctx, emulate.Options{Addr: "127.0.0.1:8080", Mode: emulate.Standalone, Stdout: os.Stdout})
//
// What it does as Vercel does: the build, a server behind Vercel's own proxy
// with its socket, or a function under a Lambda Runtime API; bodies of 4.5 MB
// at most, the headers with the client's address, a duration after which an
// instance is ended, static files first, the cron with its secret.
//
// What it does not: TLS, regions, the firewall, scaling, memory limits,
// streaming, the exact bytes of Vercel's own error pages.
package emulate

import "errors"

// A Mode is how the Go runtime runs a program.
type Mode string

// The modes of the Go runtime.
const (
	Standalone Mode = "standalone" // a server that listens on PORT
	Function   Mode = "function"   // a handler in the folder api, one request at a time
)

// Modes are all modes, for a command line.
var Modes = []Mode{Standalone, Function}

// maxBody is Vercel's cap of a body in either direction, 4.5 MB.
const maxBody = 4_500_000

// Reasons why what Vercel runs cannot be run here.
var (
	// ErrNoCLI reports that Vercel's CLI is not here and cannot be installed.
	ErrNoCLI = errors.New("emulate: npm with Node.js 20 is not here, which Vercel's CLI wants")

	errNotLinux = errors.New("emulate: what Vercel's CLI makes is for Linux on amd64, and this is not")
)
