// Package function runs the clinics on Google Cloud Functions, which builds a
// package with functions and no main.
package function

import (
	"context"
	"net/http"
	"os"

	"github.com/cloudevents/sdk-go/v2/event"

	"github.com/serverurl/serverurl/examples/clinic"
	"github.com/serverurl/serverurl/gcp"
)

var functions = gcp.Main(clinic.New(clinic.Config{Insurance: os.Getenv("CLINIC_INSURANCE_URL"), Texts: os.Getenv("CLINIC_TEXTS_URL")}))

// Receive answers events and tool calls.
func Receive(w http.ResponseWriter, r *http.Request) { functions.Receive(w, r) }

// Deliver delivers one message of the topic of accepted events.
func Deliver(ctx context.Context, e event.Event) error { return functions.Deliver(ctx, e) }

// Sweep ends calls whose report is overdue.
func Sweep(w http.ResponseWriter, r *http.Request) { functions.Sweep(w, r) }
