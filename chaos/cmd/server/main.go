// Command server is the deployed server with the backend of command chaos.
package main

import (
	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/server"
)

func main() { server.Main(backend.New()) }
