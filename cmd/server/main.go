// Command server runs the dental front desk of package app as a plain HTTP
// server. Replace app with your own package; see server -h.
package main

import (
	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/server"
)

func main() { server.Main(app.New()) }
