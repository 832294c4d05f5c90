// Command cold measures init, first and warm invocations of the deployed function,
// and of one that only opens the same SDK clients. Both run on the emulator, several
// times in turn; moto_server emulates DynamoDB and SQS. The latencies are those of
// this machine, not of Lambda.
package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"github.com/serverurl/serverurl/aws/emulate"
)

const (
	rounds = 21
	warm   = 40
	secret = "5a0b6b1e94c7f2d83e17aa49c05d62fb"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A subject is a program and what it is asked.
type subject struct {
	name, bootstrap string
	event           []byte
	inits, firsts   []time.Duration
	warms           []time.Duration
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "serverurl-cold-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	hello, ours := filepath.Join(dir, "hello"), filepath.Join(dir, "bootstrap")
	if err := errors.Join(emulate.Build(ctx, ".", "./hello", hello), emulate.Build(ctx, "..", "./cmd/lambda", ours)); err != nil {
		return err
	}
	endpoint, end, err := moto(ctx)
	if err != nil {
		return err
	}
	defer end()
	cfg := awssdk.Config{Region: "us-east-1", BaseEndpoint: &endpoint, Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
	table, err := emulate.CreateTable(ctx, dynamodb.NewFromConfig(cfg), "cold")
	if err != nil {
		return err
	}
	queue, err := emulate.CreateQueue(ctx, sqs.NewFromConfig(cfg), "cold")
	if err != nil {
		return err
	}
	env := []string{"AWS_ENDPOINT_URL=" + endpoint, "TABLE_NAME=" + table, "QUEUE_URL=" + queue, "SERVERURL_SECRET=" + secret}
	subjects := []*subject{
		{name: "hello with the same SDK clients", bootstrap: hello, event: event("/tools/opening_hours", "{}")},
		{name: "serverurl, a tool without a store", bootstrap: ours, event: event("/tools/opening_hours", "{}")},
		{name: "serverurl, a tool that reads", bootstrap: ours, event: event("/tools/find_open_slots", `{"date":"2035-07-17"}`)},
		{name: "serverurl, an event", bootstrap: ours, event: event("/events", `{"message":{"type":"status-update","call":{"id":"CA-1","status":"ongoing"}}}`)},
	}
	for range rounds {
		for _, s := range subjects {
			if err := s.round(ctx, env); err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
		}
	}
	fmt.Printf("%-36s %8s %8s %8s %8s\n", "median of "+strconv.Itoa(rounds), "init ms", "first ms", "warm ms", "MB")
	for _, s := range subjects {
		size := int64(0)
		if info, err := os.Stat(s.bootstrap); err == nil {
			size = info.Size()
		}
		fmt.Printf("%-36s %8.2f %8.2f %8.2f %8.1f\n", s.name, median(s.inits), median(s.firsts), median(s.warms), float64(size)/1e6)
	}
	return nil
}

// round is one cold start and the warm invocations after it.
func (s *subject) round(ctx context.Context, env []string) error {
	f := emulate.NewFunction(emulate.FunctionOptions{Bootstrap: s.bootstrap, Env: env, Timeout: 30 * time.Second, Trace: func(r emulate.Report) {
		if r.Init > 0 {
			s.inits, s.firsts = append(s.inits, r.Init), append(s.firsts, r.Duration)
			return
		}
		s.warms = append(s.warms, r.Duration)
	}})
	defer f.Close()
	for range warm + 1 {
		out, err := f.Invoke(ctx, s.event)
		if err != nil {
			return err
		}
		if !strings.Contains(string(out), `"statusCode":200`) {
			return fmt.Errorf("reply %s", out)
		}
	}
	return nil
}

func event(path, body string) []byte {
	return fmt.Appendf(nil, `{"version":"2.0","rawPath":%q,"rawQueryString":"","headers":{"content-type":"application/json","x-interactly-secret":%q},`+
		`"requestContext":{"domainName":"abc.lambda-url.us-east-1.on.aws","http":{"method":"POST"}},"body":%q,"isBase64Encoded":false}`, path, secret, body)
}

func median(ds []time.Duration) float64 {
	slices.Sort(ds)
	return float64(ds[len(ds)/2]) / float64(time.Millisecond)
}

// moto starts moto_server on a free port.
func moto(ctx context.Context) (url string, end func(), err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	cmd := exec.Command("moto_server", "-H", "127.0.0.1", "-p", port)
	if err := cmd.Start(); err != nil {
		return "", nil, fmt.Errorf("moto_server is needed: %w", err)
	}
	end = func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			return "http://" + addr, end, c.Close()
		}
		select {
		case <-ctx.Done():
			end()
			return "", nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}
