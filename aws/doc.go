// Package aws runs a [core.Processor] as an AWS Lambda function, with calls in
// DynamoDB and accepted events in SQS.
//
// It never starts anything that outlives an invocation, because Lambda freezes
// the environment then, and never keeps anything in memory from one invocation
// to the next. No error and no log line quotes a payload or a service's
// message. An event is in the queue, or in DynamoDB if it is too large for a
// message, before it is answered 200.
//
// A whole program, as in cmd/lambda:
//
//	func main() { os.Exit(aws.Main(app.New())) }
//
// template.yaml deploys it as three functions: the receiver answers requests,
// the worker is invoked with batches of the queue, and the sweeper on a
// schedule. docs/aws.md has the commands.
package aws
