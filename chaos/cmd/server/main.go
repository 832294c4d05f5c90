// Command server is the deployed server with the chaos's backend in it.
package main

import (
	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/server"
)

func main() { server.Main(backend.New()) }
