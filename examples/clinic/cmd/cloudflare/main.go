// Command cloudflare runs the clinics in a Worker. Its visits are in D1, through the
// platform's store.
package main

import (
	"github.com/serverurl/serverurl/cloudflare"
	"github.com/serverurl/serverurl/examples/clinic"
)

func init() {
	cloudflare.Main(clinic.New(clinic.Config{Insurance: "https://insurance.example", Texts: "https://texts.example"}))
}

// main is never called: JavaScript calls what Main has prepared.
func main() {}
