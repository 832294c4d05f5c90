package emulate_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/testing/mototest"
)

// moto is a stand-in for DynamoDB and SQS.
func moto(t *testing.T) string {
	t.Helper()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	return mototest.URL(t)
}

// services are a table and a queue of a test's own.
type services struct {
	env   []string
	sqs   *sqs.Client
	queue string
}

func openServices(t *testing.T, endpoint, name string) services {
	t.Helper()
	cfg := awssdk.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
	s := services{sqs: sqs.NewFromConfig(cfg)}
	table, err := emulate.CreateTable(t.Context(), dynamodb.NewFromConfig(cfg), name)
	if err != nil {
		t.Fatal(err)
	}
	if s.queue, err = emulate.CreateQueue(t.Context(), s.sqs, name); err != nil {
		t.Fatal(err)
	}
	s.env = []string{"AWS_ENDPOINT_URL=" + endpoint, "TABLE_NAME=" + table, "QUEUE_URL=" + s.queue, "SERVERURL_SECRET=" + secret}
	return s
}

// waiting is how many messages are in a queue, those under way too.
func (s services) waiting(t *testing.T, queue string) (n int) {
	t.Helper()
	out, err := s.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"} {
		v, err := strconv.Atoi(out.Attributes[name])
		if err != nil {
			t.Fatal(err)
		}
		n += v
	}
	return n
}

// deployed is the program that is deployed, built for this machine.
var deployed = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "serverurl-emulate-test-")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "bootstrap")
	return path, emulate.Build(context.Background(), "../..", "./cmd/lambda", path)
})

// deployedProgram is its path.
func deployedProgram(t *testing.T) string {
	t.Helper()
	path, err := deployed()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// What is deployed, on DynamoDB and SQS of moto, gives the golden bytes behind
// every front, frozen after each reply; and all that it accepted is delivered.
func TestDeployedProgram(t *testing.T) {
	bootstrap := deployedProgram(t)
	endpoint := moto(t)
	for _, as := range emulate.Triggers {
		t.Run(string(as), func(t *testing.T) {
			s := openServices(t, endpoint, "calls-"+string(as))
			url := run(t, emulate.Options{Trigger: as, Bootstrap: bootstrap, Freeze: true, Env: s.env})
			coretest.Adapter(t, coretest.Target{URL: url, Secret: secret, MaxBodyBytes: maxBody(as)})
			for end := time.Now().Add(5 * time.Minute); s.waiting(t, s.queue) > 0; time.Sleep(50 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("%d events are still in the queue", s.waiting(t, s.queue))
				}
			}
			if n := s.waiting(t, strings.Replace(s.queue, "calls-"+string(as), "calls-"+string(as)+"-dead", 1)); n > 0 {
				t.Errorf("%d dead letters", n)
			}
		})
	}
}

// What is answered 200 is in the queue, whatever happens to the process then:
// it is stopped on the last byte of its reply, and every other time ended.
func TestDeployedProgramLosesNothingItAccepted(t *testing.T) {
	bootstrap := deployedProgram(t)
	s := openServices(t, moto(t), "calls-lost")
	f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: bootstrap, Env: s.env, Timeout: 30 * time.Second, Freeze: true})
	defer f.Close()
	acceptAndEnd(t, f, 60)
	if n := s.waiting(t, s.queue); n != 60 {
		t.Errorf("%d events in the queue, 60 were accepted", n)
	}
}

func TestDeployedProgramSaysWhatIsMissing(t *testing.T) {
	bootstrap := deployedProgram(t)
	for _, c := range []struct {
		env  []string
		want string
	}{
		{nil, "TABLE_NAME is not set"},
		{[]string{"TABLE_NAME=calls"}, "QUEUE_URL is not set"},
		{[]string{"TABLE_NAME=calls", "QUEUE_URL=http://127.0.0.1:1/1/q"}, "no secret is set"},
		{[]string{"TABLE_NAME=calls", "QUEUE_URL=http://127.0.0.1:1/1/q", "SERVERURL_SECRET=short"}, "weak secret"},
	} {
		log := new(safeBuffer)
		f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: bootstrap, Env: c.env, Log: log})
		_, err := f.Invoke(t.Context(), []byte("{}"))
		if cerr := f.Close(); err == nil || cerr != nil || !strings.Contains(log.String(), c.want) || strings.Contains(log.String(), "short") {
			t.Errorf("%v: %v, log %q; want %q", c.env, err, log, c.want)
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%v: %d lines, want one", c.env, n)
		}
	}
}

// proxy stands before a service, keeps connections open, which moto does not,
// and can cut them all.
type proxy struct {
	*httptest.Server

	mu   sync.Mutex
	open map[net.Conn]bool
	cuts int
}

func newProxy(t *testing.T, to string) *proxy {
	t.Helper()
	u, err := url.Parse(to)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{open: map[net.Conn]bool{}}
	p.Server = httptest.NewUnstartedServer(&httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(u) }})
	p.Config.ConnState = func(c net.Conn, s http.ConnState) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s == http.StateClosed || s == http.StateHijacked {
			delete(p.open, c)
		} else {
			p.open[c] = true
		}
	}
	p.Start()
	t.Cleanup(func() {
		p.cut()
		p.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return p
}

// cut resets what is open, as a peer does that has forgotten a connection.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.open {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		c.Close()
		p.cuts++
	}
	clear(p.open)
}

// A process wakes up after a long freeze, and its connections are dead.
func TestDeployedProgramAfterAThaw(t *testing.T) {
	bootstrap := deployedProgram(t)
	endpoint := moto(t)
	s := openServices(t, endpoint, "calls-thaw")
	p := newProxy(t, endpoint)
	f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: bootstrap, Env: append(s.env, "AWS_ENDPOINT_URL="+p.URL,
		"QUEUE_URL="+strings.Replace(s.queue, endpoint, p.URL, 1)), Timeout: 30 * time.Second, Freeze: true})
	defer f.Close()
	front := httptest.NewServer(emulate.HTTPTrigger(f, emulate.FunctionURL))
	defer front.Close()
	for range 20 {
		if code, said := post(t, front.URL, `{"message":{"type":"status-update","call":{"id":"CA-1","status":"ongoing"}}}`); code != 200 {
			t.Fatalf("event: %d %s", code, said)
		}
		if code, said := post(t, front.URL+"/tools/find_open_slots", `{"date":"2035-07-17"}`); code != 200 || !strings.Contains(said, "has openings at") {
			t.Fatalf("tool: %d %s", code, said)
		}
		p.cut()
	}
	if p.cuts < 20 {
		t.Errorf("%d connections were cut: nothing was tested", p.cuts)
	}
}
