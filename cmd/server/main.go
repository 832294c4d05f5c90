// Command server runs the dental front desk of package app as a plain HTTP
// server. Replace app with your own package; see server -h.
package main

import (
	"os"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/server"
)

func main() { os.Exit(server.Main(app.New())) }
