package main

import (
	"context"
	"io"

	aws "github.com/serverurl/serverurl/aws/emulate"
	cloudflare "github.com/serverurl/serverurl/cloudflare/emulate"
)

// emulateCommand runs the backend as a cloud would, on this machine.
type emulateCommand struct {
	AWS emulateAWS `cmd:"" help:"As AWS Lambda: the deployed program under a Lambda Runtime API of our own."`

	Cloudflare emulateCloudflare `cmd:"" help:"As a Cloudflare Worker: the deployed WASM in workerd, with miniflare's D1, Queues and R2."`
}

// emulateFlags are what all platforms have.
type emulateFlags struct {
	Addr    string `help:"The address to listen on, on this machine only; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Freeze  bool   `help:"Stop each process after its reply, until its next request, as clouds do."`
	Verbose bool   `help:"Show the logs of the functions." short:"v"`
}

func (f emulateFlags) log(t *terminal) io.Writer {
	if f.Verbose {
		return t.err
	}
	return io.Discard
}

type emulateAWS struct {
	emulateFlags
	As           string `help:"What stands in front: ${enum}." enum:"function-url,http-api,rest-api,alb" default:"function-url"`
	Environments int    `help:"The most execution environments, one for each request at the same time; above it AWS answers 429." default:"32" placeholder:"N"`
	Data         string `help:"Where the embedded store is, when AWS_ENDPOINT_URL names none." placeholder:"DIR" type:"path"`
}

func (*emulateAWS) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it takes requests.
With AWS_ENDPOINT_URL, such as moto_server's, the deployed program runs on that
DynamoDB and SQS; without, on an embedded store. Run it in the module's folder.

Examples:
  serverurl emulate aws
  serverurl emulate aws --as rest-api --freeze --addr 127.0.0.1:0
  AWS_ENDPOINT_URL=http://127.0.0.1:5000 serverurl emulate aws`
}

func (c *emulateAWS) Run(ctx context.Context, t *terminal) error {
	return aws.Run(ctx, aws.Options{Addr: c.Addr, As: aws.Shape(c.As), Environments: c.Environments, Freeze: c.Freeze, Data: c.Data, Stdout: t.out, Log: c.log(t)})
}

type emulateCloudflare struct {
	Addr    string `help:"The address to listen on, on this machine only; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Data    string `help:"Where D1 and R2 are; - is in memory." placeholder:"DIR" type:"path"`
	Verbose bool   `help:"Show the logs of the Worker." short:"v"`
}

func (*emulateCloudflare) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it takes requests.
It needs Node 20.3 or newer with npm; the first time it installs what is pinned in
cloudflare/package-lock.json. Run it in the module's folder.

Examples:
  serverurl emulate cloudflare
  serverurl emulate cloudflare --addr 127.0.0.1:0 --data -`
}

func (c *emulateCloudflare) Run(ctx context.Context, t *terminal) error {
	return cloudflare.Run(ctx, cloudflare.Options{Addr: c.Addr, Data: c.Data, Stdout: t.out, Log: emulateFlags{Verbose: c.Verbose}.log(t)})
}
