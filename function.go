// Package serverurl is what Google Cloud Functions builds: it takes the
// package at the root of what is uploaded, and the function in it that
// --entry-point names. It runs the backend of package app; replace app with your
// own package.
//
// It never does anything else, and nobody imports it. docs/gcp.md says how it is
// deployed, and why no package main, no external test package and no go.work may
// be next to it.
package serverurl

import (
	"context"
	"net/http"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/gcp"
)

var functions = gcp.Main(app.New())

// Receive answers events and tool calls.
func Receive(w http.ResponseWriter, r *http.Request) { functions.Receive(w, r) }

// Deliver delivers one message of the topic of accepted events.
func Deliver(ctx context.Context, e event.Event) error { return functions.Deliver(ctx, e) }

// Sweep ends calls whose report is overdue. A schedule calls it.
func Sweep(w http.ResponseWriter, r *http.Request) { functions.Sweep(w, r) }
