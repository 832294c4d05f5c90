// Command server is the deployed server with the backend of command chaos.
package main

import (
	"os"

	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/server"
)

func main() { os.Exit(server.Main(backend.New())) }
