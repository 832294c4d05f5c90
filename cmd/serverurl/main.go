// Command serverurl runs a backend on this machine and plays calls at it.
//
//	serverurl demo                     start the backend, play a call at it, show it
//	serverurl dev                      start the backend for development
//	serverurl call booking --to URL    play whole calls, as Interactly does
//	serverurl send hang --to URL       post one event
//	serverurl calls                    the calls, and all that is known of one
//	serverurl calls delete ID --yes    delete all that is kept of a call; export, hold, free
//	serverurl dead replay --all        deliver again what could not be delivered; list, show, drop
//	serverurl audit                    who did what to what is kept
//	serverurl replay ID --to URL       send recorded events again
//	serverurl repair --since 24h       ask Interactly's API for what was never sent
//	serverurl emulate aws              the backend as a cloud runs it: aws, vercel
//	serverurl inspect --store URL      the page of calls, on another store
//	serverurl watch                    calls and tools in the terminal, as they come
//	serverurl tools                    the tools, as Interactly's API takes them
//	serverurl version                  the version, the commit and Go's version; also --version
//
// It exits 0, or 1 when something failed, or 2 when it was not understood.
// Errors are one line that says what to do.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// commands are what can be typed.
type commands struct {
	Demo    demoCommand    `cmd:"" help:"Start the backend, play a call at it, show it, and leave it running."`
	Dev     devCommand     `cmd:"" help:"Start the backend for development, on this machine only."`
	Call    callCommand    `cmd:"" help:"Play whole calls at a server URL, as Interactly does."`
	Send    sendCommand    `cmd:"" help:"Post one event, and show the reply."`
	Replay  replayCommand  `cmd:"" help:"Send recorded events again, and show what changed in the replies."`
	Calls   callsCommands  `cmd:"" help:"List, show, export and delete calls."`
	Dead    deadCommand    `cmd:"" help:"Events that could not be delivered: list, show, replay, drop."`
	Audit   auditCommand   `cmd:"" help:"Show who did what to what is kept."`
	Repair  repairCommand  `cmd:"" help:"Ask Interactly's API for what was never sent."`
	Emulate emulateCommand `cmd:"" help:"Run the backend as a cloud would, on this machine."`
	Inspect inspectCommand `cmd:"" help:"Open the page of calls on another backend's store, read-only."`
	Watch   watchCommand   `cmd:"" help:"Show calls and tools in the terminal as they come."`
	Tools   toolsCommand   `cmd:"" help:"Show the tools, in the form that Interactly's API takes."`
	Version versionCommand `cmd:"" help:"Show the version of this program."`

	VersionFlag versionFlag `name:"version" help:"Show the version and exit."`
}

// terminal is where a command writes.
type terminal struct {
	out, err io.Writer
	live     bool // out is a screen: colors and progress
}

// errFailed ends a command that has said already what failed.
var errFailed = errors.New("failed")

// A usageError is one that the user mends by typing something else.
type usageError struct{ error }

// run is the program: everything it does follows from its arguments.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &terminal{out: stdout, err: stderr}
	if f, ok := stdout.(*os.File); ok {
		t.live = term.IsTerminal(int(f.Fd())) && os.Getenv("NO_COLOR") == ""
	}
	exit := -1
	var c commands
	parser, err := kong.New(&c,
		kong.Name("serverurl"),
		kong.Description("The backend of a voice assistant, on this machine."),
		kong.UsageOnError(),
		kong.ValueFormatter(withDefault),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(t),
	)
	if err != nil {
		fmt.Fprintln(stderr, "serverurl:", err)
		return 1
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	parsed, err := parser.Parse(args)
	if exit >= 0 { // --help or --version
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "serverurl: %v\n  try: %s --help\n", err, understood(err))
		return 2
	}
	err = parsed.Run()
	switch usage := (usageError{}); {
	case err == nil:
		return 0
	case errors.Is(err, errFailed):
		return 1
	case errors.As(err, &usage):
		fmt.Fprintln(stderr, "serverurl:", err)
		return 2
	}
	fmt.Fprintln(stderr, "serverurl:", err)
	return 1
}

// withDefault says in the help of a flag what it is without being given.
func withDefault(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.HasDefault && v.Default != "" {
		help += " Default: " + v.Default + "."
	}
	return help
}

// understood is as much of the command as made sense.
func understood(err error) string {
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context.Selected() != nil {
		return p.Context.Selected().FullPath()
	}
	return "serverurl"
}
