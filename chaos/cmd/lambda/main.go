// Command lambda is the deployed Lambda function with the backend of command chaos.
package main

import (
	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/chaos/backend"
)

func main() { aws.Main(backend.New()) }
