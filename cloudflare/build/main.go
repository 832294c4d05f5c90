// Command build makes the WASM of a Worker; wrangler.jsonc runs it.
//
//	go run ./cloudflare/build [-o bin/worker.wasm] [./cmd/cloudflare]
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/serverurl/serverurl/cloudflare/emulate"
)

func main() {
	out := flag.String("o", "bin/worker.wasm", "the file to write")
	flag.Parse()
	if err := emulate.Build(context.Background(), ".", cmp.Or(flag.Arg(0), "./cmd/cloudflare"), *out); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
