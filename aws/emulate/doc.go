// Package emulate is AWS Lambda on this machine: it runs the very bootstrap
// that is deployed, in several execution environments, behind the HTTP front
// of your choice. It has no Docker, no account, and only listens on loopback.
//
//	err := emulate.Run(ctx, emulate.Options{Addr: "127.0.0.1:8080", As: emulate.FunctionURL, Stdout: os.Stdout})
//
// In a test it is a handler:
//
//	f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: path, Env: env, Freeze: true})
//	defer f.Close()
//	url := httptest.NewServer(emulate.HTTPTrigger(f, emulate.RESTAPI)).URL
//
// What it does as Lambda does: a process for each invocation at a time, init
// before the first, a deadline that kills, 6 MB in and out, an environment
// that is thrown away after a panic, an exit or a timeout, and with
// [FunctionOptions.Freeze] a process that is stopped on the last byte of its
// reply and goes on with the next request.
//
// What it does not: IAM, TLS, CPU shares, memory limits, streaming, a
// read-only file system, the exact bytes of a front's own error pages.
package emulate

import "github.com/serverurl/serverurl/internal/runtimeapi"

// A Trigger is an HTTP trigger of Lambda: each sends and takes JSON of its own.
type Trigger string

// The HTTP triggers.
const (
	FunctionURL Trigger = "function-url"
	HTTPAPI     Trigger = "http-api"  // payload 2.0, stage $default
	RESTAPI     Trigger = "rest-api"  // proxy integration
	ALB         Trigger = "alb"       // as it is by default
	ALBMulti    Trigger = "alb-multi" // lambda.multi_value_headers.enabled
)

// Triggers are all fronts, for a command line.
var Triggers = []Trigger{FunctionURL, HTTPAPI, RESTAPI, ALB, ALBMulti}

// maxALB is a load balancer's cap of a body to and a reply from Lambda: 1 MB.
const maxALB = 1_000_000

// A Function is one Lambda function, in as many execution environments as are
// needed at a time. [Front] calls it as the world does.
type Function = runtimeapi.Function

// FunctionOptions configure a [Function].
type FunctionOptions = runtimeapi.FunctionOptions

// A FunctionError says how a function failed, in Lambda's words.
type FunctionError = runtimeapi.FunctionError

// A Report is what Lambda logs after an invocation.
type Report = runtimeapi.Report

// MaxPayload is the most bytes of an event and of a reply (docs/aws.md#limits).
const MaxPayload = runtimeapi.MaxPayload

// Errors of an invocation that never reached the function.
var (
	ErrThrottled = runtimeapi.ErrThrottled
	ErrTooLarge  = runtimeapi.ErrTooLarge
	ErrClosed    = runtimeapi.ErrClosed
)

// NewFunction returns a function. Nothing runs until it is invoked; Close ends
// what runs.
func NewFunction(o FunctionOptions) *Function { return runtimeapi.NewFunction(o) }
