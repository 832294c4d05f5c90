package emulate

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/internal/runtimeapi"
)

// A function answers requests with a handler function: Vercel puts each into
// an event, in the form that the builder's bridge reads.
type function struct{ f *runtimeapi.Function }

type invocation struct {
	Method   string         `json:"method"`
	Host     string         `json:"host"`
	Path     string         `json:"path"`
	Headers  map[string]any `json:"headers"` // a text, or several
	Encoding string         `json:"encoding"`
	Body     string         `json:"body"`
}

func (f function) answer(ctx context.Context, r *http.Request, body []byte) (*answer, error) {
	inv := invocation{Method: r.Method, Host: r.Host, Path: r.RequestURI, Headers: map[string]any{"host": r.Host},
		Encoding: "base64", Body: base64.StdEncoding.EncodeToString(body)}
	for name, values := range r.Header {
		if name = strings.ToLower(name); len(values) == 1 {
			inv.Headers[name] = values[0]
		} else {
			inv.Headers[name] = values
		}
	}
	text, err := json.Marshal(inv)
	if err != nil {
		return nil, err
	}
	event, err := json.Marshal(map[string]string{"Action": "Invoke", "body": string(text)})
	if err != nil {
		return nil, err
	}
	out, err := f.f.Invoke(ctx, event)
	if err != nil {
		return nil, err
	}
	var said struct {
		Status   int         `json:"statusCode"`
		Headers  http.Header `json:"headers"`
		Encoding string      `json:"encoding"`
		Body     string      `json:"body"`
	}
	if json.Unmarshal(out, &said) != nil || said.Status < 100 || said.Status > 599 {
		return nil, errMalformed
	}
	a := &answer{status: said.Status, header: said.Headers, body: []byte(said.Body)}
	if said.Encoding == "base64" {
		if a.body, err = base64.StdEncoding.DecodeString(said.Body); err != nil {
			return nil, errMalformed
		}
	}
	return a, nil
}

func (f function) close() error { return f.f.Close() }

var errMalformed = errors.New("emulate: malformed reply")
