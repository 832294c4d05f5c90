// Command lambda is the deployed Lambda function with the chaos's backend in it.
package main

import (
	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/chaos/backend"
)

func main() { aws.Main(backend.New()) }
