//go:build !emulate

// Command lambda runs the dental front desk of package app on AWS Lambda:
// requests, batches of the queue and the sweep, whichever it is invoked with.
// Replace app with your own package; template.yaml deploys it, docs/aws.md says how.
package main

import (
	"os"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/aws"
)

func main() { os.Exit(aws.Main(app.New())) }
