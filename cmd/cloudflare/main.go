// Command worker runs the dental front desk of package app on Cloudflare
// Workers. Replace app with your own package; `npx wrangler deploy` deploys it,
// docs/cloudflare.md says how.
//
//	go run ./cloudflare/build
package main

import (
	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/cloudflare"
)

func init() { cloudflare.Main(app.New()) }

// main is never called: JavaScript calls what Main has prepared.
func main() {}
