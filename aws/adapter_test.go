package aws

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/platform"
)

const testSecret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"

// sample reads an event that aws-lambda-go publishes for its own tests.
func sample(t *testing.T, name string) []byte {
	t.Helper()
	return readSample(t, filepath.Join(sampleDir(t), name))
}

func readSample(t *testing.T, file string) []byte {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func sampleDir(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/aws/aws-lambda-go").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(strings.TrimSpace(string(out)), "events", "testdata")
}

// Which of AWS's own sample events are served, and as what. All others must
// be refused: a queue of another kind, an authorizer's question, a WebSocket.
var served = map[string]trigger{
	"lambda-urls-request.json":                          triggerURL,
	"apigw-v2-request-no-authorizer.json":               triggerURL,
	"apigw-v2-request-iam.json":                         triggerURL,
	"apigw-v2-request-jwt-authorizer.json":              triggerURL,
	"apigw-v2-request-lambda-authorizer.json":           triggerURL,
	"apigw-request.json":                                triggerREST,
	"apigw-restapi-openapi-request.json":                triggerREST,
	"alb-lambda-target-request-headers-only.json":       triggerALB,
	"alb-lambda-target-request-multivalue-headers.json": triggerALBMulti,
	"sqs-event.json":                                    triggerQueue,
}

func TestEverySampleEventIsServedOrRefused(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(sampleDir(t), "*.json"))
	if err != nil || len(files) < 50 {
		t.Fatalf("%d sample events: %v", len(files), err)
	}
	seen := 0
	for _, f := range files {
		want, known := served[filepath.Base(f)]
		if known {
			seen++
		}
		if _, got := parse(readSample(t, f)); got != want {
			t.Errorf("%s: trigger %d, want %d", filepath.Base(f), got, want)
		}
	}
	if seen != len(served) {
		t.Errorf("%d of %d served samples are there", seen, len(served))
	}
}

func TestSampleRequests(t *testing.T) {
	for _, c := range []struct {
		file                              string
		method, path, query, body, remote string
		header, value                     string
	}{
		{"lambda-urls-request.json", "POST", "/my/path", "parameter1=value1&parameter1=value2&parameter2=value",
			"Hello from client!", "123.123.123.123", "Cookie", "cookie1; cookie2"},
		{"apigw-v2-request-iam.json", "GET", "/my/path", "parameter1=value1&parameter1=value2&parameter2=value",
			"{\r\n\t\"a\": 1\r\n}", "IP", "HEADER2", "value2"},
		{"apigw-request.json", "POST", "/hello/world", "name=me", "{\r\n\t\"a\": 1\r\n}", "192.168.196.186", "content-type", "application/json"},
		{"alb-lambda-target-request-headers-only.json", "GET", "/", "key=hello", "", "25.12.198.67", "X-MyHeader", "123"},
		{"alb-lambda-target-request-multivalue-headers.json", "GET", "/", "key=hello", "", "72.21.198.67", "X-MyHeader", "123"},
	} {
		t.Run(c.file, func(t *testing.T) {
			e, s := parse(sample(t, c.file))
			r, err := e.request(s, "")
			if err != nil {
				t.Fatal(err)
			}
			got := []string{r.Method, r.Path, r.Query, string(r.Body), r.Remote, r.Header.Get(c.header)}
			want := []string{c.method, c.path, c.query, c.body, c.remote, c.value}
			if !slices.Equal(got, want) {
				t.Errorf("got  %q\nwant %q", got, want)
			}
		})
	}
}

// requestEvents are one request in each trigger. %s is the escaped path, and the
// body is base64 or not.
func requestEvents(method, path, body string, base64ed bool) map[trigger]string {
	text := body
	if base64ed {
		text = base64.StdEncoding.EncodeToString([]byte(body))
	}
	q := func(s string) string { b, _ := jsontext.AppendQuote(nil, s); return string(b) }
	head := fmt.Sprintf(`"x-InterACTLY-secret":%s,"content-type":"application/json"`, q(testSecret))
	multi := fmt.Sprintf(`"x-InterACTLY-secret":[%s],"content-type":["application/json"]`, q(testSecret))
	tail := fmt.Sprintf(`"body":%s,"isBase64Encoded":%t`, q(text), base64ed)
	return map[trigger]string{
		triggerURL: fmt.Sprintf(`{"version":"2.0","rawPath":%s,"rawQueryString":"","headers":{%s},
			"requestContext":{"domainName":"abc.lambda-url.eu-west-1.on.aws","http":{"method":%s}},%s}`, q(path), head, q(method), tail),
		triggerREST: fmt.Sprintf(`{"resource":"/{proxy+}","path":%s,"httpMethod":%s,"headers":{%s},"multiValueHeaders":{%s},
			"requestContext":{"stage":"prod","apiId":"abc","domainPrefix":"abc"},%s}`, q(path), q(method), head, multi, tail),
		triggerALB: fmt.Sprintf(`{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:x"}},"path":%s,"httpMethod":%s,
			"queryStringParameters":{},"headers":{%s},%s}`, q(path), q(method), head, tail),
		triggerALBMulti: fmt.Sprintf(`{"requestContext":{"elb":{"targetGroupArn":"arn:aws:elasticloadbalancing:x"}},"path":%s,"httpMethod":%s,
			"multiValueQueryStringParameters":{},"multiValueHeaders":{%s},%s}`, q(path), q(method), multi, tail),
	}
}

func TestBodiesAreExact(t *testing.T) {
	for _, body := range []string{
		"", " {\r\n\t\"a\" : 1 }\n ", "Zoë \u2028 \u0000 日本 😀 \"\\/", "\xff\xfe not text", strings.Repeat("é", 1<<20),
	} {
		for _, b64 := range []bool{false, true} {
			if !b64 && strings.Contains(body, "\xff") {
				continue // cannot be text in JSON
			}
			for want, payload := range requestEvents("POST", "/events", body, b64) {
				e, s := parse([]byte(payload))
				if s != want {
					t.Fatalf("trigger %d, want %d", s, want)
				}
				r, err := e.request(s, "")
				if err != nil || string(r.Body) != body {
					t.Errorf("trigger %d, base64 %t: body of %d bytes came as %d bytes (%v)", s, b64, len(body), len(r.Body), err)
				}
				if got := r.Header.Get("X-Interactly-Secret"); got != testSecret {
					t.Errorf("trigger %d: secret came as %q", s, got)
				}
			}
		}
	}
}

func TestPathsAndQueries(t *testing.T) {
	for _, c := range []struct {
		why, event, base, path, query string
	}{
		{"a Function URL's path is as it was sent",
			`{"version":"2.0","rawPath":"/tools/a%2Fb%20c","rawQueryString":"x=%2F&x=&y","requestContext":{"domainName":"i.lambda-url.us-east-1.on.aws","stage":"$default","http":{"method":"GET"}}}`,
			"", "/tools/a%2Fb%20c", "x=%2F&x=&y"},
		{"an HTTP API decodes the path, and its stage stands before it",
			`{"version":"2.0","rawPath":"/prod/tools/a b%c?#","rawQueryString":"a=%20","requestContext":{"domainName":"i.execute-api.us-east-1.amazonaws.com","domainPrefix":"i","apiId":"i","stage":"prod","http":{"method":"GET"}}}`,
			"", "/tools/a%20b%25c%3F%23", "a=%20"},
		{"a decoded name of a tool does not lead elsewhere",
			`{"version":"2.0","rawPath":"/prod/tools/../events","requestContext":{"domainName":"i.execute-api.x","domainPrefix":"i","apiId":"i","stage":"prod","http":{"method":"GET"}}}`,
			"", "/tools/..%2Fevents", ""},
		{"a stage is no prefix of a longer segment",
			`{"version":"2.0","rawPath":"/production","requestContext":{"domainName":"i.execute-api.x","domainPrefix":"i","apiId":"i","stage":"prod","http":{"method":"GET"}}}`,
			"", "/production", ""},
		{"a custom domain of an HTTP API has no stage in its path, even one of that name",
			`{"version":"2.0","rawPath":"/voice/tools/x","requestContext":{"domainName":"api.example.com","domainPrefix":"api","apiId":"i","stage":"tools","http":{"method":"GET"}}}`,
			"/voice/", "/tools/x", ""},
		{"a REST API has taken the stage off; its query is decoded, in any order of values",
			`{"resource":"/{proxy+}","path":"/tools/a%2Fb","httpMethod":"GET","multiValueQueryStringParameters":{"q&":["a b","c=d"],"e":[""]},"queryStringParameters":{"q&":"c=d","e":""},"requestContext":{"stage":"tools","apiId":"i","domainPrefix":"i"}}`,
			"", "/tools/a%2Fb", "q%26=a+b&q%26=c%3Dd&e="},
		{"a REST API behind a custom domain leaves the stage and the base path",
			`{"resource":"/{proxy+}","path":"/voice/prod/events","httpMethod":"POST","requestContext":{"stage":"prod","apiId":"i","domainPrefix":"api"}}`,
			"/voice", "/events", ""},
		{"an HTTP API with payload 1.0 is decoded and has its stage",
			`{"version":"1.0","resource":"/{proxy+}","path":"/prod/tools/a b","httpMethod":"GET","queryStringParameters":{"a":"é"},"requestContext":{"stage":"prod","apiId":"i","domainPrefix":"i"}}`,
			"", "/tools/a%20b", "a=%C3%A9"},
		{"a load balancer passes the query on as it was sent",
			`{"requestContext":{"elb":{"targetGroupArn":"arn"}},"path":"/tools/a%2Fb","httpMethod":"GET","queryStringParameters":{"a%5B":"b+c%20d"},"headers":{}}`,
			"", "/tools/a%2Fb", "a%5B=b+c%20d"},
		{"no path is the root",
			`{"version":"2.0","rawPath":"","requestContext":{"domainName":"i.lambda-url.x","http":{"method":"GET"}}}`, "", "/", ""},
	} {
		e, s := parse([]byte(c.event))
		if s == triggerUnknown {
			t.Errorf("%s: unknown trigger", c.why)
			continue
		}
		r, err := e.request(s, strings.TrimRight(c.base, "/"))
		if err != nil || r.Path != c.path || r.Query != c.query {
			t.Errorf("%s\ngot  %s ? %s (%v)\nwant %s ? %s", c.why, r.Path, r.Query, err, c.path, c.query)
		}
	}
}

// An inbox that keeps what is put there, and opens messages that are JSON.
type testInbox struct {
	mu  sync.Mutex
	got []core.Envelope
}

func (in *testInbox) Put(_ context.Context, es ...core.Envelope) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.got = append(in.got, es...)
	return nil
}

func (in *testInbox) Decode(_ context.Context, body string) ([]core.Envelope, error) {
	if body == "panic" {
		panic(body)
	}
	var e core.Envelope
	err := json.Unmarshal([]byte(body), &e)
	return []core.Envelope{e}, err
}

// bound returns a processor with a store in memory.
func bound(t *testing.T, p *core.Processor) (*core.Processor, *testInbox) {
	t.Helper()
	in := new(testInbox)
	err := p.Bind(core.Platform{Name: "aws", Store: coretest.NewMemoryStore(), Inbox: in,
		Verifier: auth.Verifier{Secrets: auth.ParseSecrets(testSecret)}, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	return p, in
}

func quiet() *Options { return &Options{Logger: slog.New(slog.DiscardHandler)} }

func TestRepliesInTheShapeOfTheRequest(t *testing.T) {
	p, in := bound(t, app.New())
	h := NewHandler(p, in, quiet())
	want := map[trigger]string{
		triggerURL:      `{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{}","isBase64Encoded":false}`,
		triggerREST:     `{"statusCode":200,"multiValueHeaders":{"Content-Type":["application/json"]},"body":"{}","isBase64Encoded":false}`,
		triggerALB:      `{"statusCode":200,"statusDescription":"200 OK","headers":{"Content-Type":"application/json"},"body":"{}","isBase64Encoded":false}`,
		triggerALBMulti: `{"statusCode":200,"statusDescription":"200 OK","multiValueHeaders":{"Content-Type":["application/json"]},"body":"{}","isBase64Encoded":false}`,
	}
	body := `{"message":{"type":"status-update","call":{"id":"CA7c0f3b9e51d24a86b3f0a91d6e2c4478","status":"ongoing"}}}`
	for s, payload := range requestEvents("POST", "/events", body, false) {
		got, err := h.Invoke(t.Context(), []byte(payload))
		if err != nil || string(got) != want[s] {
			t.Errorf("trigger %d\ngot  %s (%v)\nwant %s", s, got, err, want[s])
		}
	}
	if len(in.got) != len(want) {
		t.Errorf("%d events in the inbox, want %d", len(in.got), len(want))
	}
}

func TestRepliesOfEveryKind(t *testing.T) {
	header := []core.HeaderField{{Name: "set-cookie", Value: "a=1"}, {Name: "Set-Cookie", Value: "b=2"}, {Name: "Allow", Value: "GET"}, {Name: "allow", Value: "PUT"}}
	r := core.Response{Status: 418, Header: header, Body: []byte("\xff")}
	for s, want := range map[trigger]string{
		triggerURL:      `{"statusCode":418,"headers":{"Allow":"GET, PUT"},"cookies":["a=1","b=2"],"body":"/w==","isBase64Encoded":true}`,
		triggerREST:     `{"statusCode":418,"multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"Allow":["GET","PUT"]},"body":"/w==","isBase64Encoded":true}`,
		triggerALB:      `{"statusCode":418,"statusDescription":"418 I'm a teapot","headers":{"Set-Cookie":"a=1","Allow":"GET, PUT"},"body":"/w==","isBase64Encoded":true}`,
		triggerALBMulti: `{"statusCode":418,"statusDescription":"418 I'm a teapot","multiValueHeaders":{"Set-Cookie":["a=1","b=2"],"Allow":["GET","PUT"]},"body":"/w==","isBase64Encoded":true}`,
	} {
		if got := encode(s, r, 1000); string(got) != want {
			t.Errorf("trigger %d\ngot  %s\nwant %s", s, got, want)
		}
	}
}

func TestReplyOverTheCapIsASentence(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "talk", Description: "Talks.", Effect: core.ReadOnly},
		func(context.Context, struct{}) (string, error) { return strings.Repeat(`"`, 16<<10), nil })
	bound(t, p)
	h := NewHandler(p, nil, quiet())
	// 32 results of 16 kB, doubled by escaping, are more than a load balancer takes,
	// and less than Lambda does.
	var calls []string
	for i := range 32 {
		calls = append(calls, fmt.Sprintf(`{"id":"t%d","type":"function","function":{"name":"talk","arguments":{}}}`, i))
	}
	body := `{"message":{"type":"tool-calls","call":{"id":"CA1"},"toolCallList":[` + strings.Join(calls, ",") + `]}}`
	for s, payload := range requestEvents("POST", "/events", body, false) {
		got, err := h.Invoke(t.Context(), []byte(payload))
		if err != nil || len(got) > maxReplyOf(s) {
			t.Fatalf("trigger %d: %d bytes, %v", s, len(got), err)
		}
		isALB := s == triggerALB || s == triggerALBMulti
		if cut := strings.Contains(string(got), "too long to say"); cut != isALB {
			t.Errorf("trigger %d: replaced %t, %d bytes", s, cut, len(got))
		}
	}
	if b := encode(triggerURL, core.Response{Status: 200, Body: bytes.Repeat([]byte(`"`), maxReply/2)}, maxReply); b != nil {
		t.Errorf("%d bytes: a body that is doubled by escaping is over the cap", len(b))
	}
	if r := tooLong(core.KindToolCall); r.Status != 200 || !strings.Contains(string(r.Body), `{"result":"`) {
		t.Errorf("a tool's caller hears nothing: %d %s", r.Status, r.Body)
	}
}

func TestUnknownShapesExecuteNothing(t *testing.T) {
	p, in := bound(t, app.New())
	h := NewHandler(p, in, quiet())
	for _, payload := range []string{
		``, `null`, `[]`, `{}`, `"x"`, `{"body":"{}"}`, `{"Records":[]}`,
		`{"Records":[{"messageId":"1","eventSource":"aws:sqs","body":"{}"},{"messageId":"2","eventSource":"aws:sns","body":"{}"}]}`,
		`{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`,
		`{"version":"2.0","rawPath":"/"}`,
		`{"version":"3.0","rawPath":"/","requestContext":{"http":{"method":"POST"}}}`,
		`{"httpMethod":"POST","path":"/"}`,
		`{"version":"2.0","requestContext":{"http":{"method":"POST"},"elb":{"targetGroupArn":"a"}},"httpMethod":"POST"}`,
		`{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"POST"}},"Records":[{"messageId":"1","eventSource":"aws:sqs","body":"{}"}]}`,
		`{"source":"aws.s3","detail-type":"Scheduled Event"}`,
		`{"source":"aws.events","detail-type":"EC2 Instance State-change Notification"}`,
		`{"version":"2.0","headers":{"a":{"b":"c"}},"rawPath":"/","requestContext":{"http":{"method":"POST"}}}`,
		`{"version":"2.0","headers":{"a":[["c"]]},"rawPath":"/","requestContext":{"http":{"method":"POST"}}}`,
		`{"version":"2.0","body":{},"rawPath":"/","requestContext":{"http":{"method":"POST"}}}`,
	} {
		if out, err := h.Invoke(t.Context(), []byte(payload)); !errors.Is(err, ErrUnknownEvent) {
			t.Errorf("%s: got %s, %v; want ErrUnknownEvent", payload, out, err)
		}
	}
	if len(in.got) != 0 {
		t.Errorf("%d events reached the inbox", len(in.got))
	}
}

func TestBadBase64IsRefused(t *testing.T) {
	p, in := bound(t, app.New())
	payload := strings.Replace(requestEvents("POST", "/", "{}", true)[triggerURL], `"body":"`, `"body":"!`, 1)
	out, err := NewHandler(p, in, quiet()).Invoke(t.Context(), []byte(payload))
	if err != nil || !strings.HasPrefix(string(out), `{"statusCode":400,`) {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestLoadBalancerHealthCheck(t *testing.T) {
	p, in := bound(t, app.New())
	for agent, want := range map[string]string{"ELB-HealthChecker/2.0": `{"statusCode":200,`, "curl/8": `{"statusCode":405,`} {
		payload := `{"requestContext":{"elb":{"targetGroupArn":"arn"}},"path":"/","httpMethod":"GET","headers":{"user-agent":"` + agent + `"},"body":""}`
		if out, err := NewHandler(p, in, quiet()).Invoke(t.Context(), []byte(payload)); err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("%s: got %s, %v; want %s", agent, out, err, want)
		}
	}
}

// The backend's own check takes an instance out of the balancer.
func TestLoadBalancerHealthCheckOfTheBackend(t *testing.T) {
	p, in := bound(t, app.New())
	o := quiet()
	o.Ready = func(context.Context) error { return errors.New("canary: down") }
	payload := `{"requestContext":{"elb":{"targetGroupArn":"arn"}},"path":"/","httpMethod":"GET","headers":{"user-agent":"ELB-HealthChecker/2.0"},"body":""}`
	out, err := NewHandler(p, in, o).Invoke(t.Context(), []byte(payload))
	if err != nil || !strings.HasPrefix(string(out), `{"statusCode":503,`) || strings.Contains(string(out), "canary") {
		t.Errorf("got %s, %v", out, err)
	}
	var logged bytes.Buffer
	o.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	o.Ready = func(context.Context) error { panic("canary: a nil map") }
	out, err = NewHandler(p, in, o).Invoke(t.Context(), []byte(payload))
	if err != nil || !strings.HasPrefix(string(out), `{"statusCode":503,`) || strings.Contains(string(out)+logged.String(), "canary") {
		t.Errorf("a panic: %s, %v", out, err)
	}
	if !strings.Contains(logged.String(), `level=ERROR msg="readiness check panicked" platform=aws go_type=string place=aws/adapter_test.go:`) {
		t.Error(logged.String())
	}
}

// None of two options could be preferred.
func TestMainTakesOneOptions(t *testing.T) {
	if code := Main(core.New(), platform.Options{}, platform.Options{}); code != 2 {
		t.Errorf("exit code %d", code)
	}
}

// What a program gives Main reaches the Processor, and a start check ends the start.
func TestOptions(t *testing.T) {
	t.Setenv("AWS_REGION", "eu-central-1")
	getenv := func(name string) string {
		return map[string]string{"TABLE_NAME": "calls", "QUEUE_URL": "https://sqs.test/1/events", "SERVERURL_SECRET": "aws-options-secret-51f0a7c3"}[name]
	}
	var log bytes.Buffer
	at := time.Date(2035, 7, 16, 9, 0, 0, 0, time.UTC)
	p := core.New()
	o := platform.Options{Limits: core.Limits{MaxBodyBytes: 100}, Now: func() time.Time { return at }}
	if _, err := open(t.Context(), p, o, getenv, slog.New(slog.NewTextHandler(&log, nil))); err != nil {
		t.Fatal(err)
	}
	if !p.Now().Equal(at) || p.MaxBodyBytes() != 100 {
		t.Errorf("%v, %d bytes", p.Now(), p.MaxBodyBytes())
	}
	if line := log.String(); !strings.Contains(line, "level=INFO msg=started platform=aws version=") || !strings.Contains(line, "store=dynamodb retention=forever secrets=1") {
		t.Error(line)
	}
	broken, closed := errors.New("the calendar does not answer"), false
	o = platform.Options{
		Start: func(context.Context) error { return broken },
		Close: []func(context.Context) error{func(context.Context) error { closed = true; return nil }},
	}
	if err := run(t.Context(), core.New(), o, getenv); !errors.Is(err, broken) || !closed {
		t.Errorf("%v, closed: %t", err, closed)
	}
}

func queueEvent(bodies ...string) []byte {
	type rec struct {
		ID     string `json:"messageId"`
		Source string `json:"eventSource"`
		Body   string `json:"body"`
	}
	var all []rec
	for i, b := range bodies {
		all = append(all, rec{fmt.Sprintf("m%d", i), "aws:sqs", b})
	}
	b, _ := json.Marshal(map[string]any{"Records": all})
	return b
}

func message(call, typ string) string {
	b, _ := json.Marshal(core.Envelope{ID: "e-" + call, Received: time.Now(), Type: event.Type(typ), Call: event.CallID(call),
		Body: fmt.Appendf(nil, `{"message":{"type":"status-update","call":{"id":%q,"status":"ongoing"}}}`, call)})
	return string(b)
}

func TestBatchReportsWhatFailed(t *testing.T) {
	p := core.New()
	p.OnStatus(func(_ context.Context, e core.StatusUpdate) error {
		if e.Call.ID == "CA-bad" {
			return errors.New("Sam Rivera cannot be found")
		}
		return nil
	})
	bound(t, p)
	var logged bytes.Buffer
	h := NewHandler(p, new(testInbox), &Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	out, err := h.Invoke(t.Context(), queueEvent(
		message("CA-1", "status-update"), "not json", message("CA-bad", "status-update"), "panic", message("CA-2", "status-update")))
	want := `{"batchItemFailures":[{"itemIdentifier":"m1"},{"itemIdentifier":"m2"},{"itemIdentifier":"m3"}]}`
	if err != nil || string(out) != want {
		t.Errorf("got  %s (%v)\nwant %s", out, err, want)
	}
	if strings.Contains(logged.String(), "Rivera") || !strings.Contains(logged.String(), `msg="delivery failed" platform=aws type=status-update call=`+p.LogTag("CA-bad")+" reason=") {
		t.Errorf("log: %s", logged.String())
	}
	if out, err := h.Invoke(t.Context(), queueEvent(message("CA-3", "status-update"))); err != nil || string(out) != `{"batchItemFailures":[]}` {
		t.Errorf("a batch without failures: %s, %v", out, err)
	}
}

// delayingInbox notes what is put off.
type delayingInbox struct {
	testInbox
	delayed map[string]int
}

func (in *delayingInbox) Delay(_ context.Context, receipt string, attempt int) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.delayed[receipt] = attempt
	return errors.New("a delay that fails changes nothing")
}

func TestFailedMessagesAreDelayed(t *testing.T) {
	p, _ := bound(t, app.New())
	in := &delayingInbox{delayed: map[string]int{}}
	event := `{"Records":[{"messageId":"m0","receiptHandle":"r0","eventSource":"aws:sqs","attributes":{"ApproximateReceiveCount":"3"},"body":"bad"},
		{"messageId":"m1","receiptHandle":"r1","eventSource":"aws:sqs","attributes":{"ApproximateReceiveCount":"1"},"body":` + string(quote(nil, message("CA-1", "status-update"))) + `}]}`
	out, err := NewHandler(p, in, quiet()).Invoke(t.Context(), []byte(event))
	if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":"m0"}]}` {
		t.Errorf("got %s, %v", out, err)
	}
	if len(in.delayed) != 1 || in.delayed["r0"] != 3 {
		t.Errorf("delayed %v", in.delayed)
	}
}

func TestBatchWithoutTimeLeftComesAgain(t *testing.T) {
	p, in := bound(t, app.New())
	ctx, cancel := context.WithDeadline(t.Context(), time.Now().Add(batchMargin/2))
	defer cancel()
	out, err := NewHandler(p, in, quiet()).Invoke(ctx, queueEvent(message("CA-1", "status-update")))
	if err != nil || string(out) != `{"batchItemFailures":[{"itemIdentifier":"m0"}]}` {
		t.Errorf("got %s, %v", out, err)
	}
}

func TestSchedulesSweep(t *testing.T) {
	p, in := bound(t, app.New())
	for _, source := range []string{"aws.events", "aws.scheduler"} {
		payload := `{"version":"0","id":"1","detail-type":"Scheduled Event","source":"` + source + `","time":"2026-11-23T06:00:00Z","resources":["arn"],"detail":{}}`
		if out, err := NewHandler(p, in, quiet()).Invoke(t.Context(), []byte(payload)); err != nil || string(out) != "{}" {
			t.Errorf("%s: %s, %v", source, out, err)
		}
	}
	if _, err := NewHandler(core.New(), in, quiet()).Invoke(t.Context(), []byte(`{"detail-type":"Scheduled Event","source":"aws.events"}`)); !errors.Is(err, errSweep) {
		t.Errorf("a sweep that cannot run: %v", err)
	}
}

// Environments may run invocations side by side (lambdacontext.MaxConcurrency).
func TestConcurrentInvocations(t *testing.T) {
	p, in := bound(t, app.New())
	h := NewHandler(p, in, quiet())
	var all sync.WaitGroup
	for i := range 80 {
		all.Go(func() {
			for s, payload := range requestEvents("POST", "/tools/find_open_slots", `{"date":"2035-07-17"}`, i%2 == 0) {
				out, err := h.Invoke(t.Context(), []byte(payload))
				if err != nil || !strings.Contains(string(out), "has openings at") {
					t.Errorf("trigger %d: %s, %v", s, out, err)
				}
			}
		})
	}
	all.Wait()
}

func FuzzParse(f *testing.F) {
	for _, payload := range requestEvents("POST", "/tools/x", "{}", false) {
		f.Add([]byte(payload))
	}
	f.Add(queueEvent("x"))
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, s := parse(payload)
		if s == triggerUnknown || s == triggerQueue || s == triggerSchedule {
			return
		}
		if r, err := e.request(s, ""); err == nil && r.Path == "" {
			t.Error("a request without a path")
		}
	})
}
