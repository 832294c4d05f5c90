package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/serverurl/serverurl/simulate"
)

type demoCommand struct {
	Addr     string  `help:"The address to listen on; port 0 takes a free one." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Scenario string  `help:"The call to play: the tour, which only the demo has, or one of serverurl call --list." default:"tour" placeholder:"NAME"`
	Speed    float64 `help:"Faster than a real call by this factor." default:"4" placeholder:"X"`
	Data     string  `help:"Keep the data in this folder. Default: a new one that is removed at the end." placeholder:"DIR" type:"path"`
	Inspect  string  `help:"The address of the page that shows the call; off for none." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Open     bool    `help:"Open the page in a browser, when this is a terminal." default:"true" negatable:""`
	Exit     bool    `help:"Stop after the call."`
}

// firstSeed makes the same caller in every demo on a new calendar, who asks for
// a day in 2035; any seed may ask for one in the centuries after.
const firstSeed = 60

func (*demoCommand) Help() string {
	return `Needs nothing but Go: no account, no tunnel, no phone.

Examples:
  serverurl demo
  serverurl demo --scenario barge-in --speed 1`
}

func (c *demoCommand) Run(ctx context.Context, t *terminal) error {
	s, err := loadScenario(c.Scenario)
	if err != nil {
		return usageError{err}
	}
	if c.Speed <= 0 {
		return usageError{fmt.Errorf("--speed must be more than 0")}
	}
	seed := uint64(0)
	ownData := c.Data == ""
	if ownData {
		seed = firstSeed
		if c.Data, err = os.MkdirTemp("", "serverurl-demo-"); err != nil {
			return fmt.Errorf("no room for the demo's data: %w", err)
		}
		defer os.RemoveAll(c.Data)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// What the tour does wrong on purpose is on the screen; it is no warning.
	dev := devCommand{databaseFlags: databaseFlags{Data: c.Data}, Addr: c.Addr, Inspect: c.Inspect, level: slog.LevelError}
	if err := dev.create(); err != nil {
		return err
	}
	ready, served := make(chan string, 2), make(chan error, 1)
	page := inspector{name: "demo", madeUp: ownData, ready: func(url string) { ready <- url }}
	delay := tourDelay
	if c.Speed > 1000 { // nobody looks on
		delay = 0
	}
	go func() { served <- dev.serve(ctx, t, tourApp(delay), page, func(url string) { ready <- url }) }()
	urls := []string{"", ""} // of the backend, then of the page
	for i := range urls {
		if i == 1 && (c.Inspect == "off" || c.Inspect == "") {
			break
		}
		select {
		case urls[i] = <-ready:
		case err := <-served:
			return err
		}
	}
	url := urls[0]
	played := c.play(ctx, t, url, urls[1], dev.databaseFlags, s, seed)
	if c.Exit || played != nil {
		stop()
	} else {
		fmt.Fprintf(t.out, "\nThe backend goes on at %s. Try in another terminal:\n\n"+
			"  go run ./cmd/serverurl call barge-in --to %s\n"+
			"  go run ./cmd/serverurl calls --data %s\n\n"+
			"Its tools are in app/app.go. Ctrl-C stops it.\n", url, url, c.Data)
	}
	if err := <-served; err != nil {
		return err
	}
	return played
}

// play plays the call, and shows what the backend knows of it then.
func (c *demoCommand) play(ctx context.Context, t *terminal, url, page string, data databaseFlags, s simulate.Scenario, seed uint64) error {
	fmt.Fprintf(t.out, "listening on %s\n", url)
	if page != "" {
		fmt.Fprintf(t.out, "inspector on %s\n", page)
	}
	fmt.Fprintf(t.out, "\nA call is played at it, %g times as fast as in life: %s\n\n", c.Speed, s.About)
	db, err := data.open(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	o := simulate.Options{URL: url, Speed: c.Speed, Seed: seed, CallIDInURL: true, State: stateOf(db.Store())}
	told, opened := show(t), false
	var opening sync.WaitGroup
	defer opening.Wait()
	o.OnStep = func(h simulate.Progress) {
		if page != "" && !opened {
			opened = true
			fmt.Fprintf(t.out, "watch it: %s/calls/%s\n\n", page, h.Call)
			if t.live && c.Open && !c.Exit {
				opening.Go(func() { browse(ctx, page+"/calls/"+h.Call) })
			}
		}
		told(h)
		misstep(ctx, url, h)
	}
	r, err := simulate.Run(ctx, o, s)
	if err != nil {
		return nil // it was stopped
	}
	for _, f := range r.Failures {
		fmt.Fprintf(t.out, "%s %s\n", t.mark(false), f)
	}
	if !r.OK() {
		return errFailed
	}
	fmt.Fprintf(t.out, "\n%s This is what the backend knows of it now:\n\n", t.mark(true))
	return (&callsCommand{ID: r.Call}).one(ctx, t, db.Store())
}
