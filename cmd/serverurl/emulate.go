package main

import (
	"cmp"
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
	AWS        emulateAWS        `cmd:"" help:"As AWS Lambda: the deployed program under our own Lambda Runtime API."`
	Cloudflare emulateCloudflare `cmd:"" help:"As a Cloudflare Worker: the deployed WASM in workerd, with miniflare's D1, Queues and R2."`
	GCP        emulateGCP        `cmd:"" help:"As Google Cloud Functions: what is uploaded, under the functions framework."`
	Vercel     emulateVercel     `cmd:"" help:"As Vercel's Go runtime: the output of vercel build, on a Postgres."`
}

// emulateFlags are the flags of every platform whose processes can be frozen.
type emulateFlags struct {
	Addr    string `help:"The loopback address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Freeze  bool   `help:"Freeze each process between its reply and its next request, as clouds do."`
	Verbose bool   `help:"Show the logs of the functions." short:"v"`
}

// log returns where the logs of the functions go: nowhere, unless asked for, because
// they would bury the line that says where to send requests.
func (f emulateFlags) log(t *terminal) io.Writer {
	if f.Verbose {
		return t.err
	}
	return io.Discard
}

// emulateAWS runs cmd/lambda.
type emulateAWS struct {
	emulateFlags
	Trigger        string `help:"What invokes the function: ${enum}." enum:"function-url,http-api,rest-api,alb" default:"function-url"`
	MaxConcurrency int    `help:"How many execution environments there are at most, each with one request at a time; above that AWS answers 429." default:"32" placeholder:"N"`
	Data           string `help:"The folder of the emulated table and queues, if AWS_ENDPOINT_URL is not set." placeholder:"DIR" type:"path"`
}

func (*emulateAWS) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it accepts requests.
With AWS_ENDPOINT_URL, such as moto_server's, the deployed program runs on that
DynamoDB and SQS; without, on an embedded store. Run it in the module's folder.

Examples:
  serverurl emulate aws
  serverurl emulate aws --trigger rest-api --freeze --addr 127.0.0.1:0
  AWS_ENDPOINT_URL=http://127.0.0.1:5000 serverurl emulate aws`
}

func (c *emulateAWS) Run(ctx context.Context, t *terminal) error {
	return aws.Run(ctx, aws.Options{Addr: c.Addr, Trigger: aws.Trigger(c.Trigger), MaxConcurrency: c.MaxConcurrency, Freeze: c.Freeze, Data: c.Data, Stdout: t.out, Log: c.log(t)})
}

// emulateCloudflare runs cmd/cloudflare. It has no --freeze: workerd suspends an
// instance whenever it waits.
type emulateCloudflare struct {
	Addr    string `help:"The loopback address to listen on; port 0 takes a free one." default:"127.0.0.1:8080" placeholder:"HOST:PORT"`
	Data    string `help:"The folder of the emulated D1 and R2; - is in memory." placeholder:"DIR" type:"path"`
	Verbose bool   `help:"Show the logs of the Worker." short:"v"`
}

func (*emulateCloudflare) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it accepts requests.
It needs Node 20.3 or newer with npm; the first time it installs what is pinned in
cloudflare/package-lock.json. Run it in the module's folder.

Examples:
  serverurl emulate cloudflare
  serverurl emulate cloudflare --addr 127.0.0.1:0 --data -`
}

func (c *emulateCloudflare) Run(ctx context.Context, t *terminal) error {
	return cloudflare.Run(ctx, cloudflare.Options{Addr: c.Addr, Data: c.Data, Stdout: t.out, Log: emulateFlags{Verbose: c.Verbose}.log(t)})
}

// emulateGCP runs what gcp/deploy.sh would upload.
type emulateGCP struct {
	emulateFlags
	Instances   int  `help:"How many instances each function has." default:"1" placeholder:"N"`
	Concurrency int  `help:"How many requests one instance takes at a time." default:"80" placeholder:"N"`
	Embedded    bool `help:"Use fakes in memory for Firestore and Pub/Sub, even if Google's emulators are installed."`
}

func (*emulateGCP) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it accepts requests.
It starts Google's emulators of Firestore and Pub/Sub if they are installed, or
uses those at FIRESTORE_EMULATOR_HOST and PUBSUB_EMULATOR_HOST.
SERVERURL_SECRET has the sender's secret. Run it in the module's folder.

Examples:
  SERVERURL_SECRET="$(openssl rand -hex 32)" serverurl emulate gcp
  serverurl emulate gcp --embedded --freeze --addr 127.0.0.1:0`
}

func (c *emulateGCP) Run(ctx context.Context, t *terminal) error {
	return gcp.Run(ctx, gcp.Options{Addr: c.Addr, Instances: c.Instances, Concurrency: c.Concurrency, Freeze: c.Freeze, Embedded: c.Embedded, Stdout: t.out, Log: c.log(t)})
}

// emulateVercel runs cmd/vercel.
type emulateVercel struct {
	emulateFlags
	Mode      string `help:"How the program runs: ${enum}." enum:"standalone,function" default:"standalone"`
	Instances int    `help:"How many instances run at the same time. Default: 2, and 16 in mode function." placeholder:"N"`
	Store     string `help:"The Postgres, pooled or not: postgres://…. Default: the variable SERVERURL_DATABASE_URL, DATABASE_URL or POSTGRES_URL." placeholder:"URL"`
	SkipCLI   bool   `name:"skip-cli" help:"Build ./cmd/vercel with Go alone, without Vercel's CLI."`
}

func (*emulateVercel) Help() string {
	return `Prints what it uses, and "listening on http://HOST:PORT" when it accepts requests.
The program is built by Vercel's own CLI, which npm installs into the user's cache
folder the first time (350 MB); without npm, by Go alone. SERVERURL_SECRET has the
sender's secret. Run it in the module's folder.

Examples:
  export SERVERURL_SECRET="$(openssl rand -hex 32)" SERVERURL_DATABASE_URL=postgres://postgres@127.0.0.1:5432/calls
  serverurl emulate vercel
  serverurl emulate vercel --mode function --freeze --addr 127.0.0.1:0`
}

func (c *emulateVercel) Run(ctx context.Context, t *terminal) error {
	if err := noPassword("--store", c.Store); err != nil {
		return err
	}
	var env []string
	for _, kv := range os.Environ() {
		if name, _, _ := strings.Cut(kv, "="); vercel.Forwarded(name) {
			env = append(env, kv)
		}
	}
	// The order in which the deployed program reads these.
	database := cmp.Or(c.Store, os.Getenv("SERVERURL_DATABASE_URL"), os.Getenv("DATABASE_URL"), os.Getenv("POSTGRES_URL"))
	return vercel.Run(ctx, vercel.Options{Addr: c.Addr, Mode: vercel.Mode(c.Mode), Instances: c.Instances, Freeze: c.Freeze, SkipCLI: c.SkipCLI,
		Env: append(env, "SERVERURL_DATABASE_URL="+database), Stdout: t.out, Log: c.log(t)})
}
