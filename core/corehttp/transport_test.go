package corehttp_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
)

// canary is in every URL, header and body.
const canary = "canary-5f1e"

func do(ctx context.Context, r core.HTTPRequest) (core.HTTPResponse, error) {
	return core.HTTP(core.WithHTTP(ctx, corehttp.Transport())).Do(r)
}

func TestTransport(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1") // which answers nothing
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Seen", r.Method+" "+r.Host+" "+r.Header.Get("Idempotency-Key")+" "+r.Header.Get("Content-Type"))
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(body)
	}))
	defer srv.Close()
	resp, err := do(t.Context(), core.HTTPRequest{Method: "PUT", URL: srv.URL + "/a?b=c", JSON: []int{1}, Header: map[string]string{"idempotency-key": "k1", "host": "pms.test"}})
	if err != nil || resp.Status != 201 || string(resp.Body) != "[1]" || resp.Header.Get("x-seen") != "PUT pms.test k1 application/json" {
		t.Errorf("%+v, %v", resp, err)
	}
}

// A connection is used again, and a POST whose connection was lost is not made again,
// though it has a key.
func TestTransportMakesARequestOnce(t *testing.T) {
	var seen, connections atomic.Int64
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen.Add(1)
		if r.URL.Path == "/lost" {
			panic(http.ErrAbortHandler)
		}
	}))
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	srv.Start()
	defer srv.Close()
	client := core.HTTP(core.WithHTTP(t.Context(), corehttp.Transport()))
	for range 3 {
		if _, err := client.Do(core.HTTPRequest{URL: srv.URL}); err != nil {
			t.Fatal(err)
		}
	}
	if connections.Load() != 1 {
		t.Errorf("%d connections for 3 requests", connections.Load())
	}
	for _, r := range []core.HTTPRequest{{Method: "POST", Body: []byte("x")}, {Method: "DELETE"}} {
		seen.Store(0)
		if _, err := client.Do(core.HTTPRequest{URL: srv.URL}); err != nil { // on a connection that is kept
			t.Fatal(err)
		}
		r.URL, r.Header = srv.URL+"/lost", map[string]string{"Idempotency-Key": "k1"}
		_, err := client.Do(r)
		if e, ok := errors.AsType[*core.HTTPError](err); !ok || e.Code != "reset" || e.NotSent || seen.Load() != 2 {
			t.Errorf("%s: %v, seen %d times", r.Method, err, seen.Load()-1)
		}
	}
}

func TestTransportErrors(t *testing.T) {
	release := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			select {
			case <-release:
			case <-r.Context().Done():
			}
		case "/large":
			_, _ = io.Copy(w, strings.NewReader(strings.Repeat(canary+" ", core.MaxHTTPResponseBytes/11)))
		case "/odd":
			c, _, _ := w.(http.Hijacker).Hijack()
			_, _ = io.WriteString(c, canary+"\r\n\r\n")
			_ = c.Close()
		case "/cut":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, canary)
		}
	}))
	defer srv.Close()
	defer close(release)
	secure := httptest.NewUnstartedServer(nil)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + gone.Addr().String()
	_ = gone.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	late, cancelLate := context.WithTimeout(t.Context(), 1)
	defer cancelLate()
	for name, c := range map[string]struct {
		ctx     context.Context
		url     string
		code    string
		notSent bool
		is      error
	}{
		"refused":   {t.Context(), nobody, "refused", true, nil},
		"canceled":  {ended, srv.URL + "/slow", "canceled", false, context.Canceled},
		"too late":  {late, srv.URL + "/slow", "timeout", false, context.DeadlineExceeded},
		"too large": {t.Context(), srv.URL + "/large", "too-large", false, nil},
		"not HTTP":  {t.Context(), srv.URL + "/odd", "other", false, nil},
		"cut off":   {t.Context(), srv.URL + "/cut", "reset", false, nil},
		"not TLS":   {t.Context(), strings.Replace(srv.URL, "http:", "https:", 1), "tls", true, nil},
		"untrusted": {t.Context(), secure.URL, "tls", true, nil},
	} {
		_, err := do(c.ctx, core.HTTPRequest{URL: c.url + "?q=" + canary, Header: map[string]string{"X-Name": canary}, Body: []byte(canary)})
		e, ok := errors.AsType[*core.HTTPError](err)
		if !ok || e.Code != c.code || !c.notSent && e.NotSent && c.is == nil || c.notSent && !e.NotSent || c.is != nil && !errors.Is(err, c.is) || strings.Contains(err.Error(), canary) {
			t.Errorf("%s: %#v", name, err)
		}
	}
}
