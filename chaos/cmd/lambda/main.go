// Command lambda is the deployed Lambda function with the backend of command chaos.
package main

import (
	"os"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/chaos/backend"
)

func main() { os.Exit(aws.Main(backend.New())) }
