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

func TestWalls(t *testing.T) {
	importcheck.CheckOnly(t, "the client is of use to other programs: it imports nothing of ours",
		"github.com/go-json-experiment/json/...", "github.com/cenkalti/backoff/v5")
}

const key = "key-0123456789-abcdef"

var began = time.Date(2026, 7, 14, 16, 2, 11, 854e6, time.UTC)

// a transport without a network, so that time can be faked.
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

// a body that breaks off.
type cut struct{ *bytes.Reader }

func (c cut) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil {
		err = errors.New("unexpected EOF")
	}
	return n, err
}

func (cut) Close() error { return nil }

func client(t *testing.T, h http.Handler, change ...func(*interactly.Options)) *interactly.Client {
	t.Helper()
	o := &interactly.Options{URL: "https://api.example.com", Transport: direct{h}}
	for _, c := range change {
		c(o)
	}
	c, err := interactly.New(key, o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func known(troubles ...simulate.APIFault) *simulate.API {
	a := simulate.NewAPI(key, troubles...)
	a.AddCall(map[string]any{
		"id": "CA/1 ä", "status": "finished", "startAt": "2026-07-14T16:02:11.854Z", "endAt": "2026-07-14T16:03:04.494Z",
		"messages": []any{map[string]any{"messageId": "welcome-1", "role": "assistant", "text": "Hello."}}, "somethingNew": 1,
	})
	return a
}

func TestCall(t *testing.T) {
	call, err := client(t, known()).Call(t.Context(), "CA/1 ä")
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

// What may pass is tried again, and no longer than the budget.
func TestTroubles(t *testing.T) {
	always := func(tr simulate.APIFault) []simulate.APIFault {
		return []simulate.APIFault{tr, tr, tr, tr, tr, tr, tr, tr}
	}
	for _, c := range []struct {
		name     string
		troubles []simulate.APIFault
		want     error
		requests int
		most     time.Duration
	}{
		{"one failure is nothing", []simulate.APIFault{"500"}, nil, 2, time.Second},
		{"a cut answer is asked for again", []simulate.APIFault{"truncated"}, nil, 2, time.Second},
		{"busy waits as long as it is asked to", []simulate.APIFault{"429", "429"}, nil, 3, 3 * time.Second},
		{"slow is cut and asked again", []simulate.APIFault{"slow"}, nil, 2, 11 * time.Second},
		{"not found is final", []simulate.APIFault{"404"}, interactly.ErrNotFound, 1, 0},
		{"failing for ever", always("500"), interactly.ErrUnavailable, 4, 5 * time.Second},
		{"busy for ever", always("429"), interactly.ErrBusy, 4, 4 * time.Second},
		{"cut for ever", always("truncated"), interactly.ErrUnreachable, 4, 5 * time.Second},
		{"slow for ever ends with the budget", always("slow"), interactly.ErrUnreachable, 3, 30 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				api := known(c.troubles...)
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
		{"600", 0, false}, // longer than the budget: told at once, for the caller to come again
	} {
		synctest.Test(t, func(t *testing.T) {
			n := 0
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n++; n == 1 {
					w.Header().Set("Retry-After", c.header)
					w.WriteHeader(429)
					return
				}
				known().ServeHTTP(w, r)
			})
			start := time.Now()
			_, err := client(t, h).Call(t.Context(), "CA/1 ä")
			if (err == nil) != c.ok || time.Since(start) != c.waits {
				t.Errorf("Retry-After %s: error %v after %v", c.header, err, time.Since(start))
			}
			if e, _ := errors.AsType[*interactly.Error](err); !c.ok && (e == nil || e.RetryAfter != 10*time.Minute) {
				t.Errorf("the error does not say when to come again: %#v", err)
			}
		})
	}
}

func TestPausesAreRandom(t *testing.T) {
	seen := map[time.Duration]bool{}
	for range 8 {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, _ = client(t, known("500")).Call(t.Context(), "CA/1 ä")
			seen[time.Since(start)] = true
		})
	}
	if len(seen) < 2 {
		t.Error("every pause is the same: who failed together comes back together")
	}
}

func TestStopsWithItsCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		start := time.Now()
		_, err := client(t, known("slow", "slow")).Call(ctx, "CA/1 ä")
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
		api := known("404")
		n := 0
		for _, err := range client(t, api).Calls(t.Context(), began, began.Add(time.Hour)) {
			if n++; err == nil {
				t.Error("a call came of a list that failed")
			}
		}
		if n != 1 {
			t.Errorf("yielded %d times, want the error once", n)
		}
	})
}

// Shapes of answers that were seen, or may come.
func TestShapes(t *testing.T) {
	for _, c := range []struct{ name, body, id, status string }{
		{"plain", `{"id":"CA1","status":"finished"}`, "CA1", "finished"},
		{"inside data", `{"message":"ok","data":{"id":"CA1","status":"finished"}}`, "CA1", "finished"},
		{"another name of the id", `{"conversationId":"CA1"}`, "CA1", ""},
		{"no id", `{"status":"ongoing"}`, "CA1", "ongoing"},
		{"fields of other kinds", `{"id":"CA1","status":7,"startAt":{},"endAt":1784044986704}`, "CA1", ""},
		{"names twice", `{"id":"CA0","id":"CA1"}`, "CA1", ""},
		{"another call", `{"id":"CA2"}`, "", ""},
		{"a list", `[]`, "", ""},
		{"a page of a proxy", `<html>`, "", ""},
		{"nothing", ``, "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.body)) })
			call, err := client(t, h, func(o *interactly.Options) { o.Tries = 1 }).Call(t.Context(), "CA1")
			if c.id == "" {
				if !errors.Is(err, interactly.ErrBadAnswer) || c.body != "" && strings.Contains(err.Error(), c.body) {
					t.Errorf("error %v, want ErrBadAnswer without the body", err)
				}
				return
			}
			if err != nil || call.ID != c.id || call.Status != c.status {
				t.Errorf("got %+v, %v", call, err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 2000)) })
	_, err := client(t, h, func(o *interactly.Options) { o.MaxAnswer = 1999 }).Call(t.Context(), "CA1")
	if !errors.Is(err, interactly.ErrTooLarge) {
		t.Errorf("error %v, want ErrTooLarge", err)
	}
}

// The key goes to one host, in one header, and into no error.
func TestTheKeyIsKept(t *testing.T) {
	for _, url := range []string{"http://api.example.com", "https://user@api.example.com", "ftp://x", "api.example.com", "https://x?q"} {
		if _, err := interactly.New(key, &interactly.Options{URL: url}); err == nil {
			t.Errorf("%s is taken", url)
		}
	}
	for _, bad := range []string{"", " ", "a\nb", "ä"} {
		if _, err := interactly.New(bad, nil); err == nil {
			t.Errorf("key %q is taken", bad)
		}
	}
	strangers := 0
	stranger := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { strangers++ }))
	defer stranger.Close()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, stranger.URL, http.StatusTemporaryRedirect)
	}))
	defer srv.Close()
	c, err := interactly.New(key, &interactly.Options{URL: srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_, err = c.Call(t.Context(), "CA1")
	if err == nil || strangers > 0 || strings.Contains(err.Error(), key) || strings.Contains(err.Error(), "CA1") {
		t.Errorf("error %v, %d requests to a stranger", err, strangers)
	}
	_, err = client(t, simulate.NewAPI("another")).Call(t.Context(), "CA1")
	if !errors.Is(err, interactly.ErrUnauthorized) {
		t.Errorf("error %v, want ErrUnauthorized", err)
	}
}

func ExampleClient_Call() {
	api := simulate.NewAPI("key") // in the place of Interactly
	api.AddCall(map[string]any{"id": "CA1", "status": "finished", "startAt": "2026-07-14T16:02:11.854Z"})
	srv := httptest.NewServer(api)
	defer srv.Close()

	c, err := interactly.New("key", &interactly.Options{URL: srv.URL})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	call, err := c.Call(context.Background(), "CA1")
	fmt.Println(call.Status, call.StartAt, err)
	_, err = c.Call(context.Background(), "CA2")
	fmt.Println(errors.Is(err, interactly.ErrNotFound))
	// Output:
	// finished 2026-07-14 16:02:11.854 +0000 UTC <nil>
	// true
}
