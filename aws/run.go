package aws

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/internal/envconfig"
	"github.com/serverurl/serverurl/internal/envconfig/backfillenv"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/lifecycle"
	"github.com/serverurl/serverurl/platform"
)

// Main runs p as a Lambda function, whatever it is invoked with: see
// [NewHandler]. It is configured by the environment, as template.yaml sets it;
// docs/aws.md lists the variables.
//
// It returns the program's exit code only if it cannot start: 1, after a line on
// stderr that says what is wrong. Otherwise it serves until Lambda ends the process.
// Secrets are read once: docs/aws.md#rotation.
//
//	func main() { os.Exit(aws.Main(app.New())) }
//
// It takes at most one [platform.Options]: with more it returns 2.
func Main(p *core.Processor, opts ...platform.Options) (exitCode int) {
	o, err := lifecycle.One(opts)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	if err := run(context.Background(), p, o, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, strings.ReplaceAll(err.Error(), "\n", "; ")) // one line, in Lambda's log
		return 1
	}
	return 0
}

// replyTimeout is API Gateway's integration timeout, the shortest of the HTTP
// triggers; a function's own timeout comes with each invocation.
const replyTimeout = 29 * time.Second

// closeTimeout is within the 500 ms that Lambda gives a function after SIGTERM.
const closeTimeout = 400 * time.Millisecond

func run(ctx context.Context, p *core.Processor, o platform.Options, getenv func(string) string) error {
	log := cmp.Or(o.Logger, slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	h, err := open(ctx, p, o, getenv, log)
	if err != nil {
		return errors.Join(err, lifecycle.Close("aws", o, lifecycle.CloseTimeout))
	}
	var more []lambda.Option
	if len(o.Close) > 0 { // it registers an extension, without which there is no SIGTERM
		more = append(more, lambda.WithEnableSIGTERM(func() {
			if err := lifecycle.Close("aws", o, closeTimeout); err != nil {
				log.Warn("closing failed", "platform", "aws", "reason", errcode.Of(err))
			}
		}))
	}
	lambda.StartWithOptions(h, more...)
	return nil
}

// open binds p to what the environment names. It opens no connection except
// those for secrets: the first request that needs a service does.
func open(ctx context.Context, p *core.Processor, o platform.Options, getenv func(string) string, log *slog.Logger) (lambda.Handler, error) {
	env := envconfig.New(envconfig.AWS, getenv)
	table, err1 := env.Required("TABLE_NAME")
	queueURL, err2 := env.Required("QUEUE_URL")
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("aws: configuration: %w", err)
	}
	env, err = env.Resolve(func(arn string) (string, error) { return readSecret(ctx, cfg, arn) })
	if err != nil {
		return nil, err
	}
	// Only the sweeper has a key of Interactly's API.
	backfill, err1 := backfillenv.Read(env)
	retention, err2 := env.Retention()
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	store, inbox := newClients(cfg, table, queueURL)
	transport := corehttp.Transport()
	err = p.Bind(core.Platform{
		Name: "aws", Store: store, Inbox: inbox, Verifier: env.Verifier(), ReplyTimeout: replyTimeout, Backfill: backfill, Retention: retention, Logger: log,
		Limits: o.Limits, Now: o.Now, HTTP: transport,
	})
	if err != nil {
		return nil, fmt.Errorf("aws: SERVERURL_SECRET, or SERVERURL_SECRET_ARN: %w", err)
	}
	if err := lifecycle.Start(core.WithHTTP(ctx, transport), "aws", o, lifecycle.ShortStartTimeout); err != nil {
		return nil, err
	}
	lifecycle.StartLine{Platform: "aws", Store: "dynamodb", Verifier: env.Verifier(), Retention: retention}.Log(log)
	return NewHandler(p, inbox, &Options{BasePath: env.Get("BASE_PATH"), Logger: log, Ready: o.Ready}), nil
}

// secretTimeout bounds the read of a secret: Lambda gives init 10 s.
const secretTimeout = 8 * time.Second

func readSecret(ctx context.Context, cfg awssdk.Config, arn string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTimeout)
	defer cancel()
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", fmt.Errorf("aws: secret cannot be read: %w", err)
	}
	if out.SecretString == nil {
		return "", errors.New("aws: secret is binary; it has to be text, several separated by commas")
	}
	return strings.TrimSpace(*out.SecretString), nil
}
