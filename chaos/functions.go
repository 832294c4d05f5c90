package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/chaos/backend"
	"github.com/serverurl/serverurl/internal/testing/mototest"
)

// functions are execution environments of cmd/lambda on moto's DynamoDB and SQS,
// an emulator: it shows how this code behaves, not how AWS does.
type functions struct {
	o                options
	log              *os.File
	endpoint, table  string
	queue            string // URL
	client           *sqs.Client
	proxy            *proxy
	receiver, worker *emulate.Function
	front            *http.Server
	root             string
	stopPolling      context.CancelFunc
	work             sync.WaitGroup
}

func openDynamoDB(o options) (_ environment, err error) {
	f := &functions{o: o, table: "chaos", stopPolling: func() {}}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.endpoint, err = mototest.Launch(); err != nil {
		return nil, err
	}
	u, err := url.Parse(f.endpoint)
	if err != nil {
		return nil, err
	}
	if f.proxy, err = newProxy(u.Host); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(f.logs(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	f.log = file
	cfg, ctx := f.config(), context.Background()
	f.table = "chaos-" + filepath.Base(o.dir)
	if _, err = emulate.CreateTable(ctx, dynamodb.NewFromConfig(cfg), f.table); err != nil {
		return nil, err
	}
	f.client = sqs.NewFromConfig(cfg)
	if f.queue, err = emulate.CreateQueue(ctx, f.client, f.table); err != nil {
		return nil, err
	}
	env := append([]string{"AWS_ENDPOINT_URL=http://" + f.proxy.Listen, "TABLE_NAME=" + f.table, "QUEUE_URL=" + f.queue,
		"SERVERURL_SECRET=" + secret, backend.EffectsFile + "=" + f.effects()}, o.env...)
	function := func(name string, timeout time.Duration, environments int) *emulate.Function {
		return emulate.NewFunction(emulate.FunctionOptions{Bootstrap: o.programs.lambda, Name: name, Env: env, Timeout: timeout,
			MaxConcurrency: environments, Freeze: true, Log: f.log})
	}
	f.receiver, f.worker = function("receiver", 10*time.Second, 16*o.processes), function("worker", 2*time.Minute, 1)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	f.root = "http://" + l.Addr().String()
	f.front = &http.Server{Handler: emulate.HTTPTrigger(f.receiver, emulate.FunctionURL), ReadHeaderTimeout: 10 * time.Second}
	f.work.Go(func() { _ = f.front.Serve(l) })
	polling, stop := context.WithCancel(ctx)
	f.stopPolling = stop
	f.work.Go(func() {
		emulate.PollSQS(polling, f.worker, f.client, f.queue, slog.New(slog.NewTextHandler(f.log, nil)))
	})
	return f, nil
}

func (f *functions) config() awssdk.Config {
	return awssdk.Config{Region: "us-east-1", BaseEndpoint: &f.endpoint, Credentials: credentials.NewStaticCredentialsProvider("emulated", "emulated", "")}
}

func (f *functions) urls() []string  { return []string{f.root} }
func (f *functions) logs() string    { return filepath.Join(f.o.dir, "log") }
func (f *functions) effects() string { return filepath.Join(f.o.dir, "effects") }

// kill ends every environment of the receiver, and of the worker only once in
// twenty times, because a message that fails five times becomes a dead letter.
func (f *functions) kill(r *rand.Rand, _ bool) (time.Duration, error) {
	for n := 0; f.receiver.Crash() == 0 && n < 1000; n++ {
		time.Sleep(time.Millisecond)
	}
	if r.IntN(20) == 0 {
		f.worker.Crash()
	}
	return 0, nil
}

func (f *functions) pause(context.Context, *rand.Rand, time.Duration) error { return nil } // frozen after each reply anyway
func (f *functions) restart(time.Duration) error                            { return errUnsupported }

func (f *functions) slow(ctx context.Context, r *rand.Rand, maxDelay time.Duration) error {
	return f.proxy.slow(ctx, r, maxDelay)
}

func (f *functions) settle(ctx context.Context, d time.Duration) error {
	for end := time.Now().Add(d); time.Now().Before(end) && ctx.Err() == nil; sleep(ctx, 200*time.Millisecond) {
		if n, err := f.waiting(ctx); err == nil && n == 0 {
			return nil
		}
	}
	return ctx.Err()
}

func (f *functions) waiting(ctx context.Context) (n int, err error) {
	out, err := f.client.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &f.queue, AttributeNames: []sqstypes.QueueAttributeName{
		sqstypes.QueueAttributeNameApproximateNumberOfMessages, sqstypes.QueueAttributeNameApproximateNumberOfMessagesNotVisible}})
	if err != nil {
		return 0, err
	}
	for _, v := range out.Attributes {
		k, err := strconv.Atoi(v)
		if err != nil {
			return 0, err
		}
		n += k
	}
	return n, nil
}

func (f *functions) stop() error {
	f.stopPolling()
	return errors.Join(f.receiver.Close(), f.front.Close())
}

func (f *functions) view(ctx context.Context) (*view, error) {
	store := aws.NewStore(dynamodb.NewFromConfig(f.config()), f.table)
	inbox := aws.NewInbox(f.client, f.queue, store)
	v := &view{store: store, close: func() error { return nil }, check: func() error { return nil }}
	time.Sleep(6 * time.Second) // until what a killed worker had is visible again
	for _, queue := range []string{f.queue, f.queue + "-dead"} {
		for {
			out, err := f.client.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 10, VisibilityTimeout: 3600})
			if err != nil {
				return nil, fmt.Errorf("queue: %w", err)
			}
			if len(out.Messages) == 0 {
				break
			}
			for _, m := range out.Messages {
				es, err := inbox.Decode(ctx, *m.Body)
				if err != nil {
					return nil, err
				}
				for _, e := range es {
					v.undelivered = append(v.undelivered, e.Body)
				}
				if queue != f.queue {
					v.dead++
				}
			}
		}
	}
	return v, nil
}

func (f *functions) close() {
	f.stopPolling()
	if f.front != nil {
		_ = f.front.Close()
	}
	for _, fn := range []*emulate.Function{f.receiver, f.worker} {
		if fn != nil {
			_ = fn.Close()
		}
	}
	f.work.Wait()
	if f.proxy != nil {
		f.proxy.Stop()
	}
	mototest.Stop()
	if f.log != nil {
		_ = f.log.Close()
	}
}
