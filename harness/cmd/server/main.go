// Command server is the deployed server with the harness's backend in it.
package main

import (
	"github.com/serverurl/serverurl/harness/backend"
	"github.com/serverurl/serverurl/server"
)

func main() { server.Main(backend.New()) }
