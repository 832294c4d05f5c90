package emulate_test

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/gcp/emulate"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
	"github.com/serverurl/serverurl/simulate"
)

const secret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"

// folders are removed when all tests have run.
var folders []string

func TestMain(m *testing.M) {
	if os.Getenv("PRETEND") != "" {
		pretend()
		return
	}
	code := m.Run()
	gcptest.Stop()
	for _, dir := range folders {
		_ = os.RemoveAll(dir)
	}
	os.Exit(code)
}

// built are the functions of the upload, built once for all tests, outside of
// the checkout.
var built = sync.OnceValues(func() (map[string]string, error) { return build() })

// dying are the same, with places to die.
var dying = sync.OnceValues(func() (map[string]string, error) { return build("failpoints") })

func build(tags ...string) (map[string]string, error) {
	dir, err := os.MkdirTemp("", "serverurl-gcp-test-")
	if err != nil {
		return nil, err
	}
	folders = append(folders, dir)
	return emulate.Build(context.Background(), root, dir, tags...)
}

// The upload that gcloud would send, built as Google builds it and away from
// the checkout, answers. It needs neither Firestore nor Pub/Sub to start, nor
// for a tool that needs no store.
func TestUploadAnswers(t *testing.T) {
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	f := emulate.NewFunction(emulate.FunctionOptions{Program: programs["Receive"], Target: "Receive",
		Env: []string{"GOOGLE_CLOUD_PROJECT=nowhere", "SERVERURL_TOPIC=events", "SERVERURL_SECRET=" + secret}})
	defer f.Close()
	srv := httptest.NewServer(f)
	defer srv.Close()
	code, body := post(t, srv.URL+"/tools/opening_hours", "{}")
	if code != 200 || !strings.Contains(body, "closed at weekends") {
		t.Errorf("%d %s", code, body)
	}
}

// A deployment without what it needs fails at its start, with one line.
func TestFunctionSaysWhatIsMissing(t *testing.T) {
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "GOOGLE_CLOUD_PROJECT is not set"},
		{[]string{"GOOGLE_CLOUD_PROJECT=p"}, "SERVERURL_TOPIC is not set"},
		{[]string{"GOOGLE_CLOUD_PROJECT=p", "SERVERURL_TOPIC=t"}, "no secret is set"},
		{[]string{"GOOGLE_CLOUD_PROJECT=p", "SERVERURL_TOPIC=t", "SERVERURL_SECRET=short"}, "weak secret"},
	} {
		for _, target := range emulate.Targets {
			log := new(safeBuffer)
			f := emulate.NewFunction(emulate.FunctionOptions{Program: programs[target], Target: target, Env: c.env, Log: log})
			err := f.Start(t.Context())
			f.Close()
			if err == nil || !strings.Contains(log.String(), c.want) || strings.Contains(log.String(), "short") {
				t.Errorf("%s with %v: %v, log %q; want %q", target, c.env, err, log, c.want)
			}
		}
	}
}

// run runs the emulator until the test ends, and returns its URL.
func run(t *testing.T, o emulate.Options) (url string, log *safeBuffer) {
	t.Helper()
	if o.Programs == nil {
		programs, err := built()
		if err != nil {
			t.Fatal(err)
		}
		o.Programs = programs
	}
	out, in := io.Pipe()
	log = new(safeBuffer)
	o.Addr, o.Stdout, o.Log = "127.0.0.1:0", in, log
	o.Env = append(o.Env, "SERVERURL_SECRET="+secret)
	o.Retry = 200 * time.Millisecond
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- emulate.Run(ctx, o); in.Close() }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
		if t.Failed() {
			all := log.String()
			t.Logf("log:\n%s", all[max(0, len(all)-4000):])
		}
	})
	said := make(chan string, 1)
	go func() {
		var all bytes.Buffer
		b := make([]byte, 1024)
		for {
			n, err := out.Read(b)
			all.Write(b[:n])
			if _, rest, ok := strings.Cut(all.String(), "listening on "); ok && strings.HasSuffix(rest, "\n") {
				said <- strings.TrimSpace(rest)
				_, _ = io.Copy(io.Discard, out)
				return
			}
			if err != nil {
				close(said)
				return
			}
		}
	}()
	url, ok := <-said
	if !ok {
		err := <-ended
		ended <- nil
		t.Fatalf("no server: %v\n%s", err, log)
	}
	return url, log
}

// google returns options with Google's emulators and a project of the test's
// own, and the store in it.
func google(t *testing.T) (emulate.Options, *gcp.Store) {
	db, q, project := gcptest.Firestore(t), gcptest.PubSub(t), gcptest.Project()
	return emulate.Options{Project: project, Env: []string{"FIRESTORE_EMULATOR_HOST=" + db, "PUBSUB_EMULATOR_HOST=" + q}},
		gcptest.Store(t, db, project)
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// try posts once.
func try(ctx context.Context, url, body string) (int, string, error) {
	r, err := http.NewRequestWithContext(ctx, "POST", url, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Interactly-Secret", secret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

func post(t *testing.T, url, body string) (int, string) {
	t.Helper()
	code, said, err := try(t.Context(), url, body)
	if err != nil {
		t.Fatal(err)
	}
	return code, said
}

// The functions give the golden bytes, though each instance is stopped
// whenever it has no request.
func TestAdapter(t *testing.T) {
	t.Run("emulators", func(t *testing.T) {
		o, store := google(t)
		o.Freeze = true
		url, _ := run(t, o)
		coretest.Adapter(t, coretest.Target{URL: url, Secret: secret})
		// Its event of 6 MiB is more than a message and a document may hold.
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
			call, err := calls.Read(t.Context(), store, "CA-large")
			if err == nil && call.MessageCount > 0 {
				size := 0
				for _, m := range call.Transcript {
					size += len(m.Text)
				}
				if size < 5<<20 {
					t.Errorf("%d messages with %d bytes of text came", call.MessageCount, size)
				}
				return
			}
			if time.Now().After(end) {
				t.Fatalf("%+v, %v", call.Summary, err)
			}
		}
	})
	t.Run("embedded", func(t *testing.T) {
		url, _ := run(t, emulate.Options{Dir: root, Embedded: true, Freeze: true})
		coretest.Adapter(t, coretest.Target{URL: url, Secret: secret})
	})
}

// Whole calls, 80 requests at a time, two instances, with what goes wrong on
// the way.
func TestScenarios(t *testing.T) {
	o, store := google(t)
	o.Instances, o.Concurrency = 2, 80
	url, _ := run(t, o)
	var all sync.WaitGroup
	for n := range 4 { // what a small machine and two JVMs can answer within 4 s
		for i, name := range []string{"booking", "barge-in", "no-report"} {
			all.Go(func() {
				s, err := simulate.Load(name)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := simulate.Run(t.Context(), simulate.Options{URL: url, Secret: secret, NoDelay: true, State: finalstate.In(store), SettleTimeout: time.Minute,
					Seed: uint64(1000*n + i + 1), Faults: []simulate.Fault{simulate.FaultDuplicate, simulate.FaultReorder, simulate.FaultLate}}, s)
				if err != nil {
					t.Error(err)
					return
				}
				for _, f := range r.Failures {
					t.Errorf("%s, seed %d: %v", name, r.Seed, f)
				}
			})
		}
	}
	all.Wait()
}

// Events are delivered on the stand-ins too, also after an instance has died.
func TestEmbeddedDelivers(t *testing.T) {
	programs, err := dying()
	if err != nil {
		t.Fatal(err)
	}
	once := t.TempDir() + "/once"
	url, log := run(t, emulate.Options{Dir: root, Embedded: true, Programs: programs,
		Env: []string{"SERVERURL_FAILPOINT=after merge", "SERVERURL_FAILPOINT_ONCE=" + once}})
	for i, id := range []string{"CA1", "CA2"} {
		if code, said := post(t, url, fmt.Sprintf(report, id)); code != 200 {
			t.Fatalf("%d %s", code, said)
		}
		for end := time.Now().Add(5 * time.Minute); ; time.Sleep(20 * time.Millisecond) {
			_, err := os.Stat(once)
			if err == nil && strings.Count(log.String(), `"message":"event"`) == i+1 {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("%s was not merged; an instance died: %v", id, err == nil)
			}
		}
	}
}

// 40 duplicates at the same time, on two instances: one booking, equal replies.
func TestDuplicates(t *testing.T) {
	o, store := google(t)
	o.Instances = 2
	url, _ := run(t, o)
	rounds := 0
	for d := time.Date(2035, 7, 16, 0, 0, 0, 0, time.UTC); rounds < 100; d = d.AddDate(0, 0, 1) {
		if d.Weekday() == time.Saturday || d.Weekday() == time.Sunday {
			continue
		}
		rounds++
		date := d.Format("2006-01-02")
		replies, body := make([]string, 40), `{"date":"`+date+`","time":"09:00","name":"Sam Rivera","phone":"+14155550142"}`
		var all sync.WaitGroup
		for i := range replies {
			all.Go(func() {
				code, said, err := try(t.Context(), fmt.Sprintf("%s/tools/book_appointment?call=CA%d", url, rounds), body)
				if replies[i] = said; err != nil || code != 200 {
					t.Errorf("%s: %d %s, %v", date, code, said, err)
				}
			})
		}
		all.Wait()
		// On a stalled machine the emulator of the store may not answer in time.
		replies = slices.DeleteFunc(replies, func(r string) bool { return strings.Contains(r, "cannot be reached") })
		for len(replies) == 0 {
			_, said, err := try(t.Context(), fmt.Sprintf("%s/tools/book_appointment?call=CA%d", url, rounds), body)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said, "cannot be reached") {
				replies = append(replies, said)
			}
		}
		for _, r := range replies {
			if r != replies[0] || !strings.Contains(r, "Booked") {
				t.Fatalf("%s: replies differ: %s and %s", date, replies[0], r)
			}
		}
	}
	booked, err := store.Range(t.Context(), "app/calendar/by-phone/14155550142", "", 1000)
	if err != nil || len(booked) != rounds {
		t.Errorf("%d bookings, %v; want %d", len(booked), err, rounds)
	}
}

// settled waits until a call is as it should be, and nothing is left to do.
func settled(t *testing.T, s records.Store, id event.CallID, messages int) calls.Call {
	t.Helper()
	for end := time.Now().Add(5 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		c, err := calls.Read(t.Context(), s, id)
		if err == nil && c.Ended && c.MessageCount == messages && c.PendingHandlers == 0 {
			return c
		}
		if err != nil && !errors.Is(err, calls.ErrNotFound) || time.Now().After(end) {
			t.Fatalf("%+v, %v", c.Summary, err)
		}
	}
}

const report = `{"message":{"type":"end-of-call-report","call":{"id":"%s","status":"finished"},"messages":[{"messageId":"welcome-1","role":"assistant","text":"Hello."}]}}`

// An instance that dies between the merge and the acknowledgement, or between
// the handlers and it, changes nothing twice: the message is redelivered.
func TestCrash(t *testing.T) {
	programs, err := dying()
	if err != nil {
		t.Fatal(err)
	}
	for _, place := range []string{"after merge", "after handlers"} {
		t.Run(place, func(t *testing.T) {
			o, store := google(t)
			once := t.TempDir() + "/once"
			o.Programs = programs
			o.Env = append(o.Env, "SERVERURL_FAILPOINT="+place, "SERVERURL_FAILPOINT_ONCE="+once)
			url, _ := run(t, o)
			if code, said := post(t, url, fmt.Sprintf(report, "CA1")); code != 200 {
				t.Fatalf("%d %s", code, said)
			}
			before := settled(t, store, "CA1", 1)
			if _, err := os.Stat(once); err != nil {
				t.Fatal("it did not die where it was told to")
			}
			notes, err := store.Range(t.Context(), "app/daybook/calls", "", 10)
			if err != nil || len(notes) != 1 {
				t.Errorf("%d notes in the daybook, %v", len(notes), err)
			}
			entries, err := store.Range(t.Context(), "calls/"+records.KeyName("CA1")+"/log", "", 10)
			if err != nil || len(entries) != 1 {
				t.Errorf("%d entries in the call's log, %v", len(entries), err)
			}
			if after := settled(t, store, "CA1", 1); after.MessageCount != before.MessageCount {
				t.Errorf("%d messages, then %d", before.MessageCount, after.MessageCount)
			}
		})
	}
}

// A push subscription that is pointed at Deliver by hand, as for dead letters,
// sends no CloudEvent. The framework makes one of it.
func TestRawPush(t *testing.T) {
	o, store := google(t)
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	f := emulate.NewFunction(emulate.FunctionOptions{Program: programs["Deliver"], Target: "Deliver",
		Env: append(o.Env, "GOOGLE_CLOUD_PROJECT="+o.Project, "SERVERURL_TOPIC=serverurl-events", "SERVERURL_SECRET="+secret)})
	defer f.Close()
	srv := httptest.NewServer(f)
	defer srv.Close()
	var data bytes.Buffer
	data.WriteByte('p')
	packed, err := flate.NewWriter(&data, flate.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(json.MarshalWrite(packed, []core.Envelope{{ID: "id", Received: time.Now(), Type: event.TypeReport, Call: "CA1", Body: fmt.Appendf(nil, report, "CA1")}}), packed.Close()); err != nil {
		t.Fatal(err)
	}
	push := fmt.Sprintf(`{"message":{"data":%q,"messageId":"1","message_id":"1","publishTime":"2035-07-16T09:00:00Z","publish_time":"2035-07-16T09:00:00Z"},"subscription":"projects/p/subscriptions/serverurl-events-dead"}`,
		base64.StdEncoding.EncodeToString(data.Bytes()))
	for range 2 {
		if code, said := post(t, srv.URL, push); code/100 != 2 {
			t.Fatalf("%d %s", code, said)
		}
	}
	settled(t, store, "CA1", 1)
	if code, _ := post(t, srv.URL, strings.Replace(push, `"data":"`, `"data":"AAAA`, 1)); code/100 == 2 {
		t.Errorf("%d for a message that is none of ours", code)
	}
}

// What was accepted is in the topic, whatever happens to the instance then: it
// is ended after every other reply.
func TestNothingAcceptedIsLost(t *testing.T) {
	o, store := google(t)
	url, _ := run(t, o)
	programs, err := built()
	if err != nil {
		t.Fatal(err)
	}
	// A receiver of our own, on the same topic, that can be ended.
	f := emulate.NewFunction(emulate.FunctionOptions{Program: programs["Receive"], Target: "Receive", Freeze: true,
		Env: append(o.Env, "GOOGLE_CLOUD_PROJECT="+o.Project, "SERVERURL_TOPIC=serverurl-events", "SERVERURL_SECRET="+secret)})
	defer f.Close()
	srv := httptest.NewServer(f)
	defer srv.Close()
	for i := range 30 {
		if code, said := post(t, srv.URL, fmt.Sprintf(report, fmt.Sprintf("CA%d", i))); code != 200 {
			t.Fatalf("event %d: %d %s", i, code, said)
		}
		if i%2 == 1 {
			f.Kill()
		}
	}
	for i := range 30 {
		settled(t, store, event.CallID(fmt.Sprintf("CA%d", i)), 1)
	}
	if code, _ := post(t, url, "{}"); code != 400 {
		t.Errorf("status %d", code)
	}
}

func TestRunRefusesWhatIsNotHere(t *testing.T) {
	env := []string{"SERVERURL_SECRET=" + secret}
	for _, c := range []struct {
		o    emulate.Options
		want string
	}{
		{emulate.Options{Addr: "0.0.0.0:8080", Env: env}, "loopback"},
		{emulate.Options{Addr: ":8080", Env: env}, "loopback"},
		{emulate.Options{Env: []string{}}, "SERVERURL_SECRET"},
		{emulate.Options{Env: append(env, "PUBSUB_EMULATOR_HOST=127.0.0.1:1")}, "both"},
	} {
		if err := emulate.Run(t.Context(), c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.o, err, c.want)
		}
	}
}
