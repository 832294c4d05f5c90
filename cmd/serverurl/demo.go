package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"

	"github.com/serverurl/serverurl/internal/finalstate"
	"github.com/serverurl/serverurl/simulate"
)

// demoCommand is the first thing that a new user runs: everything has a default, and
// nothing is left behind.
type demoCommand struct {
	Addr     string  `help:"The address to listen on; port 0 takes a free one." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Scenario string  `help:"The call to play: the tour, which only the demo has, or one of serverurl play --list." default:"tour" placeholder:"NAME"`
	Speed    float64 `help:"Faster than a real call by this factor." default:"4" placeholder:"X"`
	Store    string  `help:"Keep the calls there: sqlite:DIR, or postgres://…. Default: a new folder that is removed at the end." placeholder:"URL"`
	Inspect  string  `help:"The address of the page that shows the call; off for none." default:"127.0.0.1:0" placeholder:"HOST:PORT"`
	Open     bool    `help:"Open the page in a browser, when this is a terminal." default:"true" negatable:""`
	Exit     bool    `help:"Stop after the call."`
}

// firstSeed makes the caller of a demo on a new calendar ask for a day in 2035.
// A random seed may choose one centuries later, which looks like a mistake.
const firstSeed = 60

func (*demoCommand) Help() string {
	return `Needs only Go: no account, no tunnel, no phone. Prints "listening on
http://HOST:PORT" when the backend is ready, and "inspector on" for the page.

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
	seed, temporary := uint64(0), c.Store == ""
	if temporary {
		dir, err := os.MkdirTemp("", "serverurl-demo-")
		if err != nil {
			return fmt.Errorf("cannot make a folder for the demo's calls: %w", err)
		}
		defer os.RemoveAll(dir)
		seed, c.Store = firstSeed, "sqlite:"+dir
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	// The mistakes of the tour are made on purpose and are on the screen: they are
	// not logged as warnings.
	dev := devCommand{storeFlags: storeFlags{c.Store}, Addr: c.Addr, Inspect: c.Inspect, level: slog.LevelError}
	if err := dev.locate(); err != nil {
		return err
	}
	ready, served := make(chan string, 2), make(chan error, 1)
	page := inspector{name: "demo", synthetic: temporary, ready: func(url string) { ready <- url }}
	delay := tourDelay
	if c.Speed > 1000 { // nobody could read it anyway
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
	played := c.play(ctx, t, url, urls[1], s, seed)
	if c.Exit || played != nil {
		stop()
	} else {
		fmt.Fprintf(t.out, "\nThe backend is still running at %s. Try in another terminal:\n\n"+
			"  go run ./cmd/serverurl play barge-in --url %s --store %s\n"+
			"  go run ./cmd/serverurl calls --store %s\n\n"+
			"Its tools are in app/app.go. Ctrl-C stops it.\n", url, url, c.Store, c.Store)
	}
	if err := <-served; err != nil {
		return err
	}
	return played
}

// play plays the call, and prints what the backend has stored of it.
func (c *demoCommand) play(ctx context.Context, t *terminal, url, page string, s simulate.Scenario, seed uint64) error {
	fmt.Fprintf(t.out, "listening on %s\n", url)
	if page != "" {
		fmt.Fprintf(t.out, "inspector on %s\n", page)
	}
	fmt.Fprintf(t.out, "\nPlaying a call at %g times its real speed: %s\n\n", c.Speed, s.About)
	r, err := storeFlags{c.Store}.openReadOnly(ctx)
	if err != nil {
		return err
	}
	defer r.close()
	o := simulate.Options{URL: url, Speed: c.Speed, Seed: seed, CallIDInURL: true, State: finalstate.In(r.store)}
	print, opened := show(t), false
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
		print(h)
		sendWrongMethod(ctx, url, h)
	}
	result, err := simulate.Run(ctx, o, s)
	if err != nil {
		return nil // Ctrl-C during the call, which is not a failure
	}
	for _, f := range result.Failures {
		fmt.Fprintf(t.out, "%s %s\n", t.mark(false), f)
	}
	if !result.OK() {
		return errFailed
	}
	fmt.Fprintf(t.out, "\n%s This is what the backend has stored of it:\n\n", t.mark(true))
	return printCall(ctx, t, r.store, result.Call, nil, false)
}
