package vercel_test

import (
	"net/http"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/vercel"
)

// A file of the folder api exports a function named Handler.
func ExampleHandler() {
	handle := vercel.Handler(app.New()) // a package variable there

	Handler := func(w http.ResponseWriter, r *http.Request) { handle(w, r) }
	_ = Handler
}
