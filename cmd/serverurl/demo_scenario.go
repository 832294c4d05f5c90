package main

import (
	"bytes"
	"context"
	_ "embed"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/simulate"
)

//go:embed tour.yaml
var tourFile []byte

// tourName is the scenario that the demo plays by default. Only the demo has it:
// it needs a slow tool, which the app does not have.
const tourName = "tour"

// loadScenario returns the tour, or what simulate.Load returns.
func loadScenario(name string) (simulate.Scenario, error) {
	if name == tourName {
		return simulate.Parse("tour.yaml", tourFile)
	}
	return simulate.Load(name)
}

// tourDelay is how long the slow tool of the tour takes: just within its budget of
// 4 s, so that the page marks it as slow and the reply is still in time.
const tourDelay = 3400 * time.Millisecond

// tourApp returns the app with one more tool, which waits for a slow system.
func tourApp(delay time.Duration) *core.Processor {
	p := app.New()
	core.AddTool(p, core.Tool{
		Name:        "check_insurance",
		Description: "Whether a plan is taken. Part of the demo: the system behind it is slow.",
		Effect:      core.ReadOnly,
	}, func(ctx context.Context, in struct {
		Plan string `json:"plan" jsonschema:"the name of the caller's plan"`
	}) (string, error) {
		select {
		case <-time.After(delay):
			return "The plan is taken, and cleanings are covered.", nil
		case <-ctx.Done():
			return "", ctx.Err()
		}
	})
	return p
}

// sendMalformed makes the mistake of the tour, once: a tool whose body at
// Interactly lacks the quotes around a variable, which makes it invalid JSON. The
// page shows why the assistant ignores the reply.
func sendMalformed(ctx context.Context, to string, h simulate.Progress) {
	if h.Scenario != tourName || h.Kind != "assistant" || !strings.Contains(h.Text, "reminder") {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to+"/tools/my_appointments?call="+url.QueryEscape(h.Call),
		bytes.NewReader([]byte(`{"name": "Sam Rivera", "phone": +14155550142}`)))
	if err != nil {
		return
	}
	req.Header.Set("Content-Type", "application/json")
	if resp, err := http.DefaultClient.Do(req); err == nil {
		resp.Body.Close()
	}
}
