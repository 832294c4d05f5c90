// Package handler is the backend as a function of Vercel: a file in the folder
// api with one exported handler.
package handler

import (
	"net/http"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/vercel"
)

var handle = vercel.Handler(app.New())

// Handler answers all requests: vercel.json sends them here.
func Handler(w http.ResponseWriter, r *http.Request) { handle(w, r) }
