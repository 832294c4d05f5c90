package cloudflare

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/internal/errcode"
)

// transport returns the transport of [core.HTTP] in a Worker, which is fetch:
// net/http's client would add 4 MB to a Worker and cannot work in it. A Worker's plan
// limits how many requests may be made for one (docs/cloudflare.md#limits).
func transport(b Bindings) core.HTTPTransport {
	return func(ctx context.Context, r core.HTTPRequest) (core.HTTPResponse, error) {
		op := operation{Op: "fetch", Method: r.Method, URL: r.URL, Limit: core.MaxHTTPResponseBytes}
		for name, value := range r.Header {
			op.Header = append(op.Header, [2]string{name, value})
		}
		out, body, err := do(ctx, b, op, r.Body)
		if err != nil {
			return core.HTTPResponse{}, fetchError(ctx, err)
		}
		resp := core.HTTPResponse{Status: out.Status, Header: auth.Header{}, Body: body}
		for _, f := range out.Header {
			resp.Header[f[0]] = append(resp.Header[f[0]], f[1])
		}
		return resp, nil
	}
}

// fetchError classifies an error. JavaScript does not say whether a request was sent.
func fetchError(ctx context.Context, err error) *core.HTTPError {
	switch ctx.Err() {
	case context.Canceled:
		return &core.HTTPError{Code: "canceled", Err: context.Canceled}
	case context.DeadlineExceeded:
		return &core.HTTPError{Code: "timeout", Err: context.DeadlineExceeded}
	}
	if e, ok := errors.AsType[*errcode.Error](err); ok {
		return &core.HTTPError{Code: e.Code}
	}
	return &core.HTTPError{Code: "other", NotSent: errors.Is(err, errNoBindings)}
}
