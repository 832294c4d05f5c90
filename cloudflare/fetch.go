package cloudflare

import (
	"context"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// bindings are those that Fetch uses. Main sets them.
var bindings Bindings

// Fetch makes an HTTP request, for tools and handlers: net/http's client would
// add 4 MB to a Worker and cannot work in it. The context's deadline is the
// timeout. Redirects are followed. A Worker's plan limits how many
// requests may be made for one (docs/cloudflare.md#limits).
//
// A status that is not 2xx is not an error. Outside of a Worker every Fetch
// fails.
func Fetch(ctx context.Context, method, url string, header auth.Header, body []byte) (core.Response, error) {
	op := operation{Op: "fetch", Method: method, URL: url}
	for name, values := range header {
		for _, v := range values {
			op.Header = append(op.Header, [2]string{name, v})
		}
	}
	out, rest, err := do(ctx, bindings, op, body)
	if err != nil {
		return core.Response{}, err
	}
	resp := core.Response{Status: out.Status, Body: rest}
	for _, f := range out.Header {
		resp.Header = append(resp.Header, core.HeaderField{Name: f[0], Value: f[1]})
	}
	return resp, nil
}
