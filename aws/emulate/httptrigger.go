package emulate

import (
	"cmp"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
)

// HTTPTrigger returns the HTTP trigger of f: it makes an event of each request,
// and an HTTP reply of the result.
func HTTPTrigger(f *Function, as Trigger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		limit := 10 << 20 // of API Gateway; Lambda's own is checked on the event
		if as == ALB || as == ALBMulti {
			limit = maxALB
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, int64(limit)+1))
		if err != nil {
			return // it was cut off: there is nobody to answer
		}
		if len(body) > limit {
			refuse(w, as, ErrTooLarge)
			return
		}
		event, err := json.Marshal(newEvent(as, r, body))
		if err != nil {
			refuse(w, as, err)
			return
		}
		out, err := f.Invoke(r.Context(), event)
		if err != nil {
			refuse(w, as, err)
			return
		}
		reply(w, as, out)
	})
}

// refuse answers what the function did not.
func refuse(w http.ResponseWriter, as Trigger, err error) {
	isAPI := as == HTTPAPI || as == RESTAPI
	status := http.StatusBadGateway
	switch {
	case errors.Is(err, ErrTooLarge):
		status = http.StatusRequestEntityTooLarge
	case errors.Is(err, ErrThrottled) && as == FunctionURL:
		status = http.StatusTooManyRequests
	case errors.Is(err, ErrThrottled), errors.Is(err, ErrClosed):
		status = http.StatusServiceUnavailable
	case as == HTTPAPI:
		status = http.StatusInternalServerError
	}
	if !isAPI {
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	fmt.Fprintf(w, `{"message":%q}`, http.StatusText(status))
}

// A response is what a function returns to a front.
type response struct {
	Status      int                 `json:"statusCode"`
	Description string              `json:"statusDescription"`
	Headers     map[string]string   `json:"headers"`
	Multi       map[string][]string `json:"multiValueHeaders"`
	Cookies     []string            `json:"cookies"`
	Body        string              `json:"body"`
	Base64      bool                `json:"isBase64Encoded"`
}

// reply sends what the function returned, as far as the front understands it:
// a balancer looks at one kind of header only, and only a URL knows cookies.
func reply(w http.ResponseWriter, as Trigger, out []byte) {
	var r response
	isALB := as == ALB || as == ALBMulti
	if json.Unmarshal(out, &r) != nil || r.Status < 100 || r.Status > 599 || isALB && len(out) > maxALB {
		refuse(w, as, &FunctionError{Type: "malformed reply"})
		return
	}
	body := []byte(r.Body)
	if r.Base64 {
		var err error
		if body, err = base64.StdEncoding.DecodeString(r.Body); err != nil {
			refuse(w, as, &FunctionError{Type: "malformed reply"})
			return
		}
	}
	h := w.Header()
	if as != ALBMulti {
		for name, v := range r.Headers {
			h.Set(name, v)
		}
	}
	if as == RESTAPI || as == ALBMulti {
		for name, vs := range r.Multi {
			h.Del(name)
			for _, v := range vs {
				h.Add(name, v)
			}
		}
	}
	if as == FunctionURL || as == HTTPAPI {
		for _, c := range r.Cookies {
			h.Add("Set-Cookie", c)
		}
	}
	h.Set("Content-Type", cmp.Or(h.Get("Content-Type"), "application/json"))
	w.WriteHeader(r.Status)
	_, _ = w.Write(body)
}

// isText reports whether a front passes a body as text. Bytes that are not
// UTF-8 cannot stand in JSON; what AWS does with them under a text type is
// documented nowhere, and here they go as base64.
func isText(as Trigger, r *http.Request, body []byte) bool {
	if !utf8.Valid(body) {
		return false
	}
	if as == RESTAPI || len(body) == 0 {
		return true // no binary media types are set
	}
	if r.Header.Get("Content-Encoding") != "" {
		return false
	}
	media, _, _ := strings.Cut(strings.ToLower(r.Header.Get("Content-Type")), ";")
	switch media = strings.TrimSpace(media); media {
	case "application/json", "application/xml", "application/javascript":
		return true
	}
	return strings.HasPrefix(media, "text/")
}
