package main

import (
	"context"
	"io"
	"os"
	"strings"

	aws "github.com/serverurl/serverurl/aws/emulate"
	cloudflare "github.com/serverurl/serverurl/cloudflare/emulate"
	gcp "github.com/serverurl/serverurl/gcp/emulate"
	vercel "github.com/serverurl/serverurl/vercel/emulate"
)

// emulateCommand runs the backend as a cloud would, on this machine.
type emulateCommand struct {
	AWS emulateAWS `cmd:"" help:"As AWS Lambda: the deployed program under a Lambda Runtime API of our own."`

	Cloudflare emulateCloudflare `cmd:"" help:"As a Cloudflare Worker: the deployed WASM in workerd, with miniflare's D1, Queues and R2."`
	GCP        emulateGCP        `cmd:"" help:"As Google Cloud Functions: what is uploaded, under the functions framework."`

	Vercel emulateVercel `cmd:"" help:"As Vercel's Go runtime: what vercel build makes, on a Postgres."`
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
	return aws.Run(ctx, aws.Options{Addr: c.Addr, Trigger: aws.Trigger(c.As), MaxConcurrency: c.Environments, Freeze: c.Freeze, Data: c.Data, Stdout: t.out, Log: c.log(t)})
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

type emulateGCP struct {
	emulateFlags
	Instances   int  `help:"How many instances each function has." default:"1" placeholder:"N"`
	Concurrency int  `help:"The most requests at a time in one instance." default:"80" placeholder:"N"`
	Embedded    bool `help:"Use stand-ins in memory for Firestore and Pub/Sub, even where Google's emulators are here."`
}

func (*emulateGCP) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it takes requests.
It starts Google's emulators of Firestore and Pub/Sub where they are on this
machine, or uses those at FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST.
SERVERURL_SECRET is the sender's secret. Run it in the module's folder.

Examples:
  SERVERURL_SECRET="$(openssl rand -hex 32)" serverurl emulate gcp
  serverurl emulate gcp --embedded --freeze --addr 127.0.0.1:0`
}

func (c *emulateGCP) Run(ctx context.Context, t *terminal) error {
	return gcp.Run(ctx, gcp.Options{Addr: c.Addr, Instances: c.Instances, Concurrency: c.Concurrency, Freeze: c.Freeze, Embedded: c.Embedded, Stdout: t.out, Log: c.log(t)})
}

type emulateVercel struct {
	emulateFlags
	Mode        string `help:"How the program runs: ${enum}." enum:"standalone,function" default:"standalone"`
	Instances   int    `help:"How many instances run at the same time. Default: 2, and 16 in mode function." placeholder:"N"`
	DatabaseURL string `help:"The Postgres, pooled or not." env:"SERVERURL_DATABASE_URL,DATABASE_URL,POSTGRES_URL" required:"" placeholder:"URL"`
	Plain       bool   `help:"Build ./cmd/vercel with Go alone, without Vercel's CLI."`
}

func (*emulateVercel) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it takes requests.
The program is built by Vercel's own CLI, which npm installs into the user's cache
folder at the first time (350 MB); without npm, by Go alone. SERVERURL_SECRET is
what the sender proves itself with. Run it in the module's folder.

Examples:
  export SERVERURL_SECRET="$(openssl rand -hex 32)" SERVERURL_DATABASE_URL=postgres://postgres@127.0.0.1:5432/calls
  serverurl emulate vercel
  serverurl emulate vercel --mode function --freeze --addr 127.0.0.1:0`
}

func (c *emulateVercel) Run(ctx context.Context, t *terminal) error {
	var env []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); vercel.Forwarded(name) {
			env = append(env, kv)
		}
	}
	return vercel.Run(ctx, vercel.Options{Addr: c.Addr, Mode: vercel.Mode(c.Mode), Instances: c.Instances, Freeze: c.Freeze, SkipCLI: c.Plain,
		Env: append(env, "SERVERURL_DATABASE_URL="+c.DatabaseURL), Stdout: t.out, Log: c.log(t)})
}
