//go:build emulate

package main

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"github.com/aws/aws-lambda-go/lambda"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/aws/emulate"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/corehttp"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/sqldb"
)

// main is the program for `serverurl emulate aws` without DynamoDB and SQS: the
// adapter that is deployed, on a SQLite file and a queue of files in
// SERVERURL_EMBEDDED. It is never deployed.
func main() {
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir := os.Getenv("SERVERURL_EMBEDDED")
	if dir == "" {
		return fmt.Errorf("lambda: built for the emulator, and SERVERURL_EMBEDDED names no folder")
	}
	inbox, err := emulate.OpenFileQueue(dir)
	if err != nil {
		return err
	}
	store, err := openStore(ctx, filepath.Join(dir, "serverurl.db"))
	if err != nil {
		return err
	}
	p, log := app.New(), slog.New(slog.NewJSONHandler(os.Stderr, nil))
	secrets := auth.ParseSecrets(os.Getenv("SERVERURL_SECRET"))
	err = p.Bind(core.Platform{Name: "aws", Store: store, Inbox: inbox, Logger: log, HTTP: corehttp.Transport(),
		Verifier: auth.Verifier{Secrets: secrets, AllowUnauthenticated: len(secrets) == 0}}) // loopback only
	if err != nil {
		return err
	}
	lambda.Start(aws.NewHandler(p, inbox, &aws.Options{BasePath: os.Getenv("BASE_PATH"), Logger: log}))
	return nil
}

// openStore opens the file that all environments share. It is closed with the
// process.
func openStore(ctx context.Context, path string) (records.Store, error) {
	dsn := sqldb.SQLiteDSN(path)
	write, err := sql.Open("sqlite", dsn.Write)
	if err != nil {
		return nil, fmt.Errorf("lambda: %w", err)
	}
	write.SetMaxOpenConns(1)
	read, err := sql.Open("sqlite", dsn.Read)
	if err != nil {
		return nil, fmt.Errorf("lambda: %w", err)
	}
	store := sqldb.NewStore(write, read, sqldb.SQLite)
	return store, store.Migrate(ctx)
}
