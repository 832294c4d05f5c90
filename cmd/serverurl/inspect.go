package main

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	awssdk "github.com/aws/aws-sdk-go-v2/aws"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"

	"github.com/serverurl/serverurl/aws"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/simulate"
	"github.com/serverurl/serverurl/sqldb"
)

type inspectCommand struct {
	Store string        `help:"Where the calls are: a folder or file of SQLite, postgres://…, dynamodb://TABLE?region=REGION, or firestore://PROJECT/DATABASE." required:"" placeholder:"URL"`
	Addr  string        `help:"The page's address; port 0 takes a free one." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Poll  time.Duration `help:"How often the store is looked at. Default: 1s, of a cloud's 3s." placeholder:"TIME"`
	Most  int           `help:"How many of the newest calls can be filtered and counted. Default: 100000, of a cloud's 5000." placeholder:"N"`
}

func (*inspectCommand) Help() string {
	return `Opens the page on the calls of another backend, and changes nothing there. On an
address that others can reach it needs SERVERURL_INSPECT_SECRET.

Examples:
  serverurl inspect --store .serverurl
  serverurl inspect --store "postgres://reader@db.example.com/desk"
  AWS_PROFILE=desk serverurl inspect --store "dynamodb://serverurl-calls?region=us-east-1"
  serverurl inspect --store firestore://desk-production`
}

func (c *inspectCommand) Run(ctx context.Context, t *terminal) error {
	s, name, cloud, closeStore, err := openReadOnly(ctx, c.Store)
	if err != nil {
		return err
	}
	defer closeStore()
	o := inspect.Options{Store: s, Name: name, ReadOnly: true, Poll: c.Poll, Most: c.Most, Secret: os.Getenv("SERVERURL_INSPECT_SECRET"),
		Logger: slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if cloud && o.Poll == 0 {
		o.Poll = 3 * time.Second
	}
	if cloud && o.Most == 0 {
		o.Most = 5000
	}
	page, err := inspect.New(o)
	if err != nil {
		return err
	}
	return page.Run(ctx, c.Addr, func(url string) { fmt.Fprintf(t.out, "inspector on %s\n", url) })
}

// openReadOnly opens a store without touching it: no tables are made or
// changed. A room that has a store of its own joins here with its scheme.
func openReadOnly(ctx context.Context, where string) (s records.Store, name string, cloud bool, done func(), err error) {
	scheme, _, found := strings.Cut(where, "://")
	switch {
	case !found || scheme == "sqlite":
		s, done, err = openSQLiteReadOnly(ctx, strings.TrimPrefix(where, "sqlite://"))
		return s, "SQLite", false, done, err
	case scheme == "postgres" || scheme == "postgresql":
		s, done, err = openPostgresReadOnly(ctx, where)
		return s, "PostgreSQL", false, done, err
	case scheme == "dynamodb":
		s, name, err = openDynamoDB(ctx, where)
		return s, name, true, func() {}, err
	case scheme == "firestore":
		s, name, done, err = openFirestore(ctx, where)
		return s, name, true, done, err
	}
	return nil, "", false, nil, usageError{fmt.Errorf("--store starts with %s://, and there are sqlite, postgres, dynamodb and firestore", scheme)}
}

func openSQLiteReadOnly(ctx context.Context, path string) (records.Store, func(), error) {
	if info, err := os.Stat(path); err == nil && info.IsDir() {
		path = filepath.Join(path, "serverurl.db")
	}
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, usageError{fmt.Errorf("--store %s: there is no such file", path)}
	}
	db, err := sql.Open("sqlite", sqldb.SQLiteDSN(path).Read)
	if err != nil {
		return nil, nil, fmt.Errorf("the SQLite file cannot be opened: %w", err)
	}
	return checked(ctx, sqldb.NewStore(db, db, sqldb.SQLite), db)
}

func openPostgresReadOnly(ctx context.Context, url string) (records.Store, func(), error) {
	config, err := pgx.ParseConfig(sqldb.PostgresDSN(url))
	if err != nil {
		return nil, nil, usageError{errors.New("--store is not a Postgres URL, such as postgres://user@host:5432/name")} // its error may quote the password
	}
	db := stdlib.OpenDB(*config, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		_, err := c.Exec(ctx, "SET default_transaction_read_only = on")
		return err
	}))
	db.SetMaxOpenConns(4)
	return checked(ctx, sqldb.NewStore(db, db, sqldb.Postgres), db)
}

// checked makes sure that the store can be read before the page opens.
func checked(ctx context.Context, s records.Store, db *sql.DB) (records.Store, func(), error) {
	done := func() { _ = db.Close() }
	if _, err := s.Get(ctx, "health/ready"); err != nil {
		done()
		return nil, nil, fmt.Errorf("no calls can be read there: is it the database of a backend? (%w)", err)
	}
	return s, done, nil
}

func openDynamoDB(ctx context.Context, where string) (records.Store, string, error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" {
		return nil, "", usageError{errors.New("--store names no table: want dynamodb://TABLE?region=REGION")}
	}
	var opts []func(*awsconfig.LoadOptions) error
	if region := u.Query().Get("region"); region != "" {
		opts = append(opts, awsconfig.WithRegion(region))
	}
	cfg, err := awsconfig.LoadDefaultConfig(ctx, opts...)
	if err != nil {
		return nil, "", fmt.Errorf("no way into AWS: %w", err)
	}
	client := dynamodb.NewFromConfig(cfg, func(o *dynamodb.Options) {
		if endpoint := u.Query().Get("endpoint"); endpoint != "" {
			o.BaseEndpoint = awssdk.String(endpoint)
		}
	})
	s := aws.NewStore(client, u.Host)
	if _, err := s.Get(ctx, "health/ready"); err != nil {
		return nil, "", fmt.Errorf("the table cannot be read: %w", err)
	}
	return s, "DynamoDB, " + u.Host, nil
}

func openFirestore(ctx context.Context, where string) (records.Store, string, func(), error) {
	u, err := url.Parse(where)
	if err != nil || u.Host == "" {
		return nil, "", nil, usageError{errors.New("--store names no project: want firestore://PROJECT/DATABASE")}
	}
	database := cmp.Or(strings.Trim(u.Path, "/"), "(default)")
	client, err := gcp.OpenFirestore(ctx)
	if err != nil {
		return nil, "", nil, fmt.Errorf("no way into Firestore: %w", err)
	}
	done := func() { _ = client.Close() }
	s := gcp.NewStore(client, "projects/"+u.Host+"/databases/"+database)
	if _, err := s.Get(ctx, "health/ready"); err != nil {
		done()
		return nil, "", nil, fmt.Errorf("the database cannot be read: %w", err)
	}
	return s, "Firestore, " + u.Host, done, nil
}

// inspector is the page beside a backend on this machine.
type inspector struct {
	addr     string
	name     string
	secret   string // of the backend's sender
	madeUp   bool
	recorder *inspect.Recorder
	ready    func(url string)
	logger   *slog.Logger
}

// beside runs the page and what records for it.
func (i *inspector) beside(ctx context.Context, with server.Parts) error {
	page, err := inspect.New(inspect.Options{
		Store: with.Store, Name: i.name, Recorder: i.recorder, Processor: with.Processor, Target: with.URL, MadeUp: i.madeUp,
		Sign: func(h http.Header) {
			if i.secret != "" {
				h.Set("X-Interactly-Secret", i.secret)
			}
		},
		Inbox: sqlInbox{with.Inbox, with.Store}, Scenarios: scenarios(), Logger: i.logger,
		Play: func(ctx context.Context, name string) error {
			s, err := loadScenario(name)
			if err != nil {
				return err
			}
			r, err := simulate.Run(ctx, simulate.Options{URL: with.URL, Secret: i.secret, Speed: 2, CallIDInURL: true}, s)
			if err == nil && !r.OK() {
				err = errFailed
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	recorded := make(chan error, 1)
	go func() { recorded <- i.recorder.Run(recording, with.Store) }()
	err = page.Run(ctx, i.addr, i.ready)
	stop()
	return errors.Join(err, <-recorded)
}

// scenarios are what can be played, the tour first.
func scenarios() []inspect.Scenario {
	var all []inspect.Scenario
	for _, s := range simulate.List() {
		all = append(all, inspect.Scenario{Name: s.Name, About: s.About})
	}
	return all
}

// sqlInbox is the inbox of a database as the page shows it.
type sqlInbox struct {
	in    *sqldb.Inbox
	store records.Store
}

func (s sqlInbox) Depth(ctx context.Context, most int) (int, error) {
	es, err := s.in.Pending(ctx, most)
	return len(es), err
}

func (s sqlInbox) Dead(ctx context.Context, most int) ([]inspect.DeadEvent, error) {
	dead, err := s.in.DeadLetters().List(ctx, most)
	var all []inspect.DeadEvent
	for _, d := range dead {
		for _, e := range d.Envelopes {
			all = append(all, inspect.DeadEvent{ID: d.ID, Call: e.Call, Type: e.Type, Received: e.Received, Died: d.DeadAt, Attempts: d.Attempts, Reason: d.Reason})
		}
	}
	return all, err
}

func (s sqlInbox) Redrive(ctx context.Context, id string) error {
	_, err := core.Redrive(ctx, s.store, s.in, s.in.DeadLetters(), id, "inspector")
	return err
}

// browse opens a browser, where there is one; the URL was printed in any case.
func browse(ctx context.Context, url string) {
	program, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	default: // without a display it might take the terminal for itself
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return
		}
	}
	_ = exec.CommandContext(ctx, program, args...).Run()
}
