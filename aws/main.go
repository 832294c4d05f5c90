package aws

import (
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
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/interactly"
)

// Main runs p as a Lambda function, whatever it is invoked with: see [New]. It
// is configured by the environment, as template.yaml sets it:
//
//	TABLE_NAME        the DynamoDB table of calls and tool records
//	QUEUE_URL         the SQS queue of accepted events
//	SECRET_ARN        the secret in Secrets Manager that the sender proves itself with, or
//	SERVERURL_SECRET  that secret itself; in both, several with commas between them
//	INTERACTLY_API_KEY_ARN  the secret that holds the key of Interactly's API, or
//	INTERACTLY_API_KEY      that key itself: the sweep asks for what was never sent
//	INTERACTLY_API_URL, INTERACTLY_ASSISTANTS  see docs/backfill.md
//	SERVERURL_RETENTION          how long the sweep keeps things, see docs/operating.md#retention
//	BASE_PATH         what a custom domain's mapping puts before every path; may be empty
//
// A mistake in it ends the process at its start, with a line that says what is
// wrong. The secret is read once: docs/aws.md#rotation.
func Main(p *core.Processor) {
	if err := run(context.Background(), p, os.Getenv); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// replyLimit is API Gateway's integration timeout, the shortest of the fronts;
// a function's own timeout comes with each invocation.
const replyLimit = 29 * time.Second

func run(ctx context.Context, p *core.Processor, getenv func(string) string) error {
	log := slog.New(slog.NewJSONHandler(os.Stderr, nil))
	h, err := open(ctx, p, getenv, log)
	if err != nil {
		return err
	}
	lambda.Start(h)
	return nil
}

// open binds p to what the environment names. It opens no connection but the
// one for the secret: the first request that needs a service does.
func open(ctx context.Context, p *core.Processor, getenv func(string) string, log *slog.Logger) (lambda.Handler, error) {
	for _, name := range []string{"TABLE_NAME", "QUEUE_URL"} {
		if getenv(name) == "" {
			return nil, fmt.Errorf("aws: %s is not set; template.yaml sets it", name)
		}
	}
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		return nil, fmt.Errorf("aws: configuration: %w", err)
	}
	secrets, err := readSecrets(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	repair, err := readRepair(ctx, cfg, getenv)
	if err != nil {
		return nil, err
	}
	keep, err := calls.ParseRetention(getenv("SERVERURL_RETENTION"))
	if err != nil {
		return nil, err
	}
	store, inbox := services(cfg, getenv("TABLE_NAME"), getenv("QUEUE_URL"))
	err = p.Bind(core.Platform{
		Name: "aws", Store: store, Inbox: inbox, Verifier: auth.Verifier{Secrets: secrets}, ReplyTimeout: replyLimit, Backfill: repair, Retention: keep, Logger: log,
	})
	if err != nil {
		return nil, err
	}
	return New(p, inbox, &Options{BasePath: getenv("BASE_PATH"), Logger: log}), nil
}

// secretTime bounds the read of the secret: Lambda gives init 10 s.
const secretTime = 8 * time.Second

// readRepair returns how the sweep asks for what was never sent. The receiver
// and the worker do not sweep, and have no key.
func readRepair(ctx context.Context, cfg awssdk.Config, getenv func(string) string) (core.Backfill, error) {
	env := getenv
	if arn := getenv("INTERACTLY_API_KEY_ARN"); arn != "" && getenv("INTERACTLY_API_KEY") == "" {
		key, err := readSecret(ctx, cfg, arn)
		if err != nil {
			return core.Backfill{}, err
		}
		env = func(name string) string {
			if name == "INTERACTLY_API_KEY" {
				return key
			}
			return getenv(name)
		}
	}
	calls, assistants, err := interactly.FromEnv(env)
	r := core.Backfill{Assistants: assistants}
	if calls != nil {
		r.API = calls
	}
	return r, err
}

// readSecrets returns what the sender may prove itself with.
func readSecrets(ctx context.Context, cfg awssdk.Config, getenv func(string) string) ([]auth.Secret, error) {
	if s := getenv("SERVERURL_SECRET"); s != "" {
		return auth.ParseSecrets(s), nil
	}
	arn := getenv("SECRET_ARN")
	if arn == "" {
		return nil, fmt.Errorf("aws: neither SECRET_ARN nor SERVERURL_SECRET is set: %w", auth.ErrNoSecret)
	}
	text, err := readSecret(ctx, cfg, arn)
	if err != nil {
		return nil, err
	}
	return auth.ParseSecrets(text), nil
}

func readSecret(ctx context.Context, cfg awssdk.Config, arn string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, secretTime)
	defer cancel()
	out, err := secretsmanager.NewFromConfig(cfg).GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &arn})
	if err != nil {
		return "", fmt.Errorf("aws: secret cannot be read: %w", err)
	}
	if out.SecretString == nil {
		return "", errors.New("aws: secret is binary; it is text, several with commas between them")
	}
	return strings.TrimSpace(*out.SecretString), nil
}
