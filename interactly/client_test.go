package interactly_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/internal/testing/importcheck"
	"github.com/serverurl/serverurl/simulate"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "the client is usable by other programs: it imports nothing else of this module",
		"github.com/go-json-experiment/json/...", "github.com/cenkalti/backoff/v5")
}

const key = "key-0123456789-abcdef"

var began = time.Date(2026, 7, 14, 16, 2, 11, 854e6, time.UTC)

// direct is a transport without a network, so that time can be faked.
type direct struct{ http.Handler }

func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	d.ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	resp := w.Result()
	if want := w.Header().Get("Content-Length"); want != "" && want != fmt.Sprint(w.Body.Len()) {
		resp.Body = cut{bytes.NewReader(w.Body.Bytes())}
	}
	return resp, nil
}

// cut is a body that ends early.
type cut struct{ *bytes.Reader }

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil {
		err = errors.New("unexpected EOF")
	}
	return n, err
}

func (cut) Close() error { return nil }

func client(t *testing.T, h http.Handler) *interactly.Client {
	t.Helper()
	c, err := interactly.New(key, &interactly.Options{URL: "https://api.example.com", Transport: direct{h}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func apiWithCall(faults ...simulate.APIFault) *simulate.API {
	a := simulate.NewAPI(key, faults...)
	a.AddCall(map[string]any{
		"id": "CA/1 ä", "status": "finished", "startAt": "2026-07-14T16:02:11.854Z", "endAt": "2026-07-14T16:03:04.494Z",
		"messages": []any{map[string]any{"messageId": "welcome-1", "role": "assistant", "text": "Hello."}}, "somethingNew": 1,
	})
	return a
}

func TestCall(t *testing.T) {
	call, err := client(t, apiWithCall()).Call(t.Context(), "CA/1 ä")
	if err != nil {
		t.Fatal(err)
	}
	if call.ID != "CA/1 ä" || call.Status != "finished" || !call.StartAt.Equal(began) || call.EndAt.IsZero() {
		t.Errorf("got %+v", call)
	}
	for _, kept := range []string{`"somethingNew":1`, `"text":"Hello."`} {
		if !bytes.Contains(call.Raw, []byte(kept)) {
			t.Errorf("raw lacks %s: %s", kept, call.Raw)
		}
	}
}

// Transient failures are retried within the total timeout.
func TestRetries(t *testing.T) {
	always := func(tr simulate.APIFault) []simulate.APIFault {
		return []simulate.APIFault{tr, tr, tr, tr, tr, tr, tr, tr}
	}
	for _, c := range []struct {
		name     string
		faults   []simulate.APIFault
		want     error
		requests int
		most     time.Duration
	}{
		{"one failure", []simulate.APIFault{"500"}, nil, 2, time.Second},
		{"truncated once", []simulate.APIFault{"truncated"}, nil, 2, time.Second},
		{"Retry-After is obeyed", []simulate.APIFault{"429", "429"}, nil, 3, 3 * time.Second},
		{"slow once", []simulate.APIFault{"slow"}, nil, 2, 11 * time.Second},
		{"not found is final", []simulate.APIFault{"404"}, interactly.ErrNotFound, 1, 0},
		{"always failing", always("500"), interactly.ErrUnavailable, 4, 5 * time.Second},
		{"always rate limited", always("429"), interactly.ErrRateLimited, 4, 4 * time.Second},
		{"always truncated", always("truncated"), interactly.ErrUnreachable, 4, 5 * time.Second},
		{"always slow", always("slow"), interactly.ErrUnreachable, 3, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := apiWithCall(c.faults...)
				start := time.Now()
				_, err := client(t, api).Call(t.Context(), "CA/1 ä")
				if !errors.Is(err, c.want) {
					t.Errorf("error %v, want %v", err, c.want)
				}
				if took := time.Since(start); took > c.most {
					t.Errorf("took %v, want at most %v", took, c.most)
				}
				if n := len(api.Requests()); n != c.requests {
					t.Errorf("%d requests, want %d", n, c.requests)
				}
			})
		})
	}
}

func TestRetryAfterIsObeyed(t *testing.T) {
	for _, c := range []struct {
		header string
		waits  time.Duration
		ok     bool
	}{
		{"3", 3 * time.Second, true},
		{"600", 0, false}, // longer than the total timeout: returned at once, for the caller to retry
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					w.Header().Set("Retry-After", c.header)
					w.WriteHeader(429)
					return
				}
				apiWithCall().ServeHTTP(w, r)
			})
			start := time.Now()
			_, err := client(t, h).Call(t.Context(), "CA/1 ä")
			if (err == nil) != c.ok || time.Since(start) != c.waits {
				t.Errorf("Retry-After %s: error %v after %v", c.header, err, time.Since(start))
			}
			if e, _ := errors.AsType[*interactly.Error](err); !c.ok && (e == nil || e.RetryAfter != 10*time.Minute) {
				t.Errorf("the error does not say when to retry: %#v", err)
			}
		})
	}
}

func TestPausesAreRandom(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 8 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, _ = client(t, apiWithCall("500")).Call(t.Context(), "CA/1 ä")
			seen[time.Since(start)] = true
		})
	}
	if len(seen) < 2 {
		t.Error("every pause is the same: clients that failed together retry together")
	}
}

func TestStopsWithContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client(t, apiWithCall("slow", "slow")).Call(ctx, "CA/1 ä")
		if err == nil || time.Since(start) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestList(t *testing.T) {
	api := simulate.NewAPI(key)
	for n := range 250 {
		api.AddCall(map[string]any{"id": fmt.Sprintf("CA%03d", n), "status": "finished", "startAt": began.Add(time.Duration(n) * time.Minute).Format(time.RFC3339Nano)})
	}
	var got []string
	for call, err := range client(t, api).Calls(t.Context(), began.Add(10*time.Minute), began.Add(24*time.Hour)) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, call.ID)
	}
	if len(got) != 240 || got[0] != "CA010" || got[239] != "CA249" {
		t.Errorf("%d calls, want the 240 from CA010 on", len(got))
	}
	if n := len(api.Requests()); n != 3 {
		t.Errorf("%d requests, want 3 pages", n)
	}
}

func TestListEndsAtAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		api := apiWithCall("404")
		n := 0
		for _, err := range client(t, api).Calls(t.Context(), began, began.Add(time.Hour)) {
			if n++; err == nil {
				t.Error("a failed list yields a call")
			}
		}
		if n != 1 {
			t.Errorf("yielded %d times, want the error once", n)
		}
	})
}

// Responses that were observed, or may occur.
func TestResponses(t *testing.T) {
	for _, c := range []struct{ name, body, id, status string }{
		{"plain", `{"id":"CA1","status":"finished"}`, "CA1", "finished"},
		{"inside data", `{"message":"ok","data":{"id":"CA1","status":"finished"}}`, "CA1", "finished"},
		{"another name of the id", `{"conversationId":"CA1"}`, "CA1", ""},
		{"no id", `{"status":"ongoing"}`, "CA1", "ongoing"},
		{"fields of other kinds", `{"id":"CA1","status":7,"startAt":{},"endAt":1784044986704}`, "CA1", ""},
		{"names twice", `{"id":"CA0","id":"CA1"}`, "CA1", ""},
		{"another call", `{"id":"CA2"}`, "", ""},
		{"a list", `[]`, "", ""},
		{"HTML of a proxy", `<html>`, "", ""},
		{"empty", ``, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.body)) })
			synctest.Test(t, func(t *testing.T) {
				call, err := client(t, h).Call(t.Context(), "CA1")
				if c.id == "" {
					if !errors.Is(err, interactly.ErrInvalidResponse) || c.body != "" && strings.Contains(err.Error(), c.body) {
						t.Errorf("error %v, want ErrInvalidResponse without the body", err)
					}
					return
				}
				if err != nil || call.ID != c.id || call.Status != c.status {
					t.Errorf("got %+v, %v", call, err)
				}
			})
		})
	}
}

func TestLimits(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 16<<20+1)) })
	_, err := client(t, h).Call(t.Context(), "CA1")
	if !errors.Is(err, interactly.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

// The key is sent to one host, in one header, and is in no error.
func TestKeyIsSecret(t *testing.T) {
	for _, url := range []string{"http://api.example.com", "https://user@api.example.com", "ftp://x", "api.example.com", "https://x?q"} {
		if _, err := interactly.New(key, &interactly.Options{URL: url}); err == nil {
			t.Errorf("%s is accepted", url)
		}
	}
	for _, bad := range []string{"", " ", "a\nb", "ä"} {
		if _, err := interactly.New(bad, nil); err == nil {
			t.Errorf("key %q is accepted", bad)
		}
	}
	others := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { others++ }))
	defer other.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c, err := interactly.New(key, &interactly.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Call(t.Context(), "CA1")
	if err == nil || others > 0 || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "CA1") {
		t.Errorf("error %v, %d requests to another host", err, others)
	}
	_, err = client(t, simulate.NewAPI("another")).Call(t.Context(), "CA1")
	if !errors.Is(err, interactly.ErrUnauthorized) {
		t.Errorf("error %v, want ErrUnauthorized", err)
	}
}
