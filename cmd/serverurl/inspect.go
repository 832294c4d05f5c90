package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"time"

	"github.com/serverurl/serverurl/inspect"
	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/server"
	"github.com/serverurl/serverurl/simulate"
)

// inspectCommand serves the page for a store that another process writes.
type inspectCommand struct {
	storeFlags
	Addr         string        `help:"The page's address; port 0 takes a free one." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	PollInterval time.Duration `help:"How often the store is read. Default: 1s, of a cloud 3s." placeholder:"TIME"`
	MaxCalls     int           `help:"How many of the newest calls can be filtered and counted. Default: 100000, of a cloud 5000." placeholder:"N"`
}

// Each read of a cloud's store costs money, so the page and watch read less of it
// and less often.
const (
	cloudPollInterval = 3 * time.Second
	cloudMaxCalls     = 5000
)

func (*inspectCommand) Help() string {
	return `Opens the page with the calls of another backend, and changes nothing there. Prints
"listening on http://HOST:PORT" when it accepts requests. On an address that others
can reach it needs SERVERURL_INSPECT_SECRET.

Examples:
  serverurl inspect
  serverurl inspect --store "postgres://reader@db.example.com/desk"
  AWS_PROFILE=desk AWS_REGION=us-east-1 serverurl inspect --store aws://serverurl-calls
  serverurl inspect --store gcp://desk-production`
}

func (c *inspectCommand) Run(ctx context.Context, t *terminal) error {
	r, err := c.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	o := inspect.Options{Name: r.name, ReadOnly: true, PollInterval: c.PollInterval, MaxCalls: c.MaxCalls, Secret: os.Getenv("SERVERURL_INSPECT_SECRET"),
		Logger: slog.New(slog.NewTextHandler(t.err, &slog.HandlerOptions{Level: slog.LevelWarn}))}
	if r.cloud {
		o.PollInterval, o.MaxCalls = cmp.Or(o.PollInterval, cloudPollInterval), cmp.Or(o.MaxCalls, cloudMaxCalls)
	}
	return inspect.New(r.store, &o).Run(ctx, c.Addr, func(url string) { fmt.Fprintf(t.out, "listening on %s\n", url) })
}

// An inspector is the page of a backend in the same process.
type inspector struct {
	addr      string
	name      string
	secrets   string // of the backend's senders
	synthetic bool
	recorder  *inspect.Recorder
	ready     func(url string)
	logger    *slog.Logger
}

// serve runs the page and its recorder. The recorder stops after the page and the
// requests that it still records.
func (i *inspector) serve(ctx context.Context, with server.Components) error {
	page := inspect.New(with.Store, &inspect.Options{
		Name: i.name, Recorder: i.recorder, Processor: with.Processor, BackendURL: with.URL, Synthetic: i.synthetic,
		Authorize: func(tenant string, h http.Header) {
			if secret, _, err := secretOf(i.secrets, tenant); err == nil && secret != "" {
				h.Set("X-Interactly-Secret", secret)
			}
		},
		Inbox: with.Inbox, DeadLetters: with.Inbox.DeadLetters(),
		Pending: func(ctx context.Context, limit int) (int, error) {
			es, err := with.Inbox.Pending(ctx, limit)
			return len(es), err
		},
		Scenarios: scenarios(), Logger: i.logger,
		Play: func(ctx context.Context, name string) error {
			s, err := loadScenario(name)
			if err != nil {
				return err
			}
			secret, tenant, err := secretOf(i.secrets, "")
			if err != nil {
				return err
			}
			r, err := simulate.Run(ctx, simulate.Options{URL: with.URL, Secret: secret, Speed: 2, CallIDInURL: true, State: finalstate.In(with.Store, tenant)}, s)
			if err == nil && !r.OK() {
				err = errFailed
			}
			return err
		},
	})
	recording, stop := context.WithCancel(context.WithoutCancel(ctx))
	recorded := make(chan error, 1)
	go func() { recorded <- i.recorder.Run(recording, with.Store) }()
	err := page.Run(ctx, i.addr, i.ready)
	stop()
	return errors.Join(err, <-recorded)
}

// scenarios lists what the page can play.
func scenarios() []inspect.Scenario {
	var all []inspect.Scenario
	for _, s := range simulate.List() {
		all = append(all, inspect.Scenario{Name: s.Name, About: s.About})
	}
	return all
}

// browse opens a browser if there is one. Errors do not matter: the URL was printed.
func browse(ctx context.Context, url string) {
	program, args := "xdg-open", []string{url}
	switch runtime.GOOS {
	case "darwin":
		program = "open"
	case "windows":
		program, args = "rundll32", []string{"url.dll,FileProtocolHandler", url}
	default: // without a display a text browser would take over the terminal
		if os.Getenv("DISPLAY") == "" && os.Getenv("WAYLAND_DISPLAY") == "" {
			return
		}
	}
	_ = exec.CommandContext(ctx, program, args...).Run()
}
