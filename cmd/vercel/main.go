// Command api runs the dental front desk of package app on Vercel, as a server
// in its Go runtime. Replace app with your own package; vercel.json at the root
// deploys it, docs/vercel.md says how.
package main

import (
	"os"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/vercel"
)

func main() { os.Exit(vercel.Main(app.New())) }
