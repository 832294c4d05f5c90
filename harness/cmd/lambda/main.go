// Command lambda is the deployed Lambda function with the harness's backend in it.
package main

import (
	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/harness/backend"
)

func main() { aws.Main(backend.New()) }
