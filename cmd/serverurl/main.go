// Command serverurl plays calls at the backend of a voice assistant, runs one on
// this machine, and operates deployed ones.
//
//	serverurl demo                      start the backend, play a call at it, show it
//	serverurl dev                       start the backend for development
//	serverurl play booking --url URL    play whole calls, as Interactly does
//	serverurl send hang --url URL       post one event
//	serverurl replay ID --url URL       send the recorded events of a call again
//	serverurl calls                     list and show calls; export, delete, hold, release
//	serverurl dlq                       list dead letters; show, redrive, delete
//	serverurl audit                     show the audit log
//	serverurl backfill --since 24h      recover missed events from Interactly's API
//	serverurl emulate aws               run the backend as a cloud does: aws, cloudflare, gcp, vercel
//	serverurl inspect --store URL       open the page with the calls of another store
//	serverurl watch                     show calls and tools in the terminal as they happen
//	serverurl tools                     print the tools, as Interactly's API takes them
//	serverurl version                   print the version, the commit and Go's version; also --version
//
// Calls are found with --store, which takes sqlite:DIR, postgres://…,
// aws://TABLE?queue=URL&dlq=URL or gcp://PROJECT/NAME. Secrets are read from the
// environment or from files, never from an argument, which other users of the
// machine could read.
//
// It exits with 0, or 1 if something failed, or 2 if the command line is wrong.
// Errors are one line that says what to do. Programs that serve print
// "listening on http://HOST:PORT" on stdout when they are ready.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"golang.org/x/term"

	"github.com/serverurl/serverurl/internal/failprint"
	"github.com/serverurl/serverurl/internal/screen"
	"github.com/serverurl/serverurl/simulate"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// commands is the command line. Others script against it: a name that changes is
// an entry in CHANGELOG.md.
type commands struct {
	Demo       demoCommand       `cmd:"" help:"Start the backend, play a call at it, show it, and keep running."`
	Dev        devCommand        `cmd:"" help:"Start the backend for development, on this machine only."`
	Play       playCommand       `cmd:"" help:"Play whole calls at a server URL, as Interactly does."`
	Send       sendCommand       `cmd:"" help:"Post one event, and print the reply."`
	Replay     replayCommand     `cmd:"" help:"Send recorded events again, and show which replies changed."`
	Calls      callsCommands     `cmd:"" help:"List, show, export, delete and hold calls."`
	DLQ        dlqCommand        `cmd:"" name:"dlq" help:"List, show, redrive and delete dead letters."`
	Quarantine quarantineCommand `cmd:"" help:"List, show, retry and delete bodies that could not be decoded."`
	Audit      auditCommand      `cmd:"" help:"Show the audit log."`
	Backfill   backfillCommand   `cmd:"" help:"Recover missed events from Interactly's API."`
	Emulate    emulateCommand    `cmd:"" help:"Run the backend as a cloud does, on this machine."`
	Inspect    inspectCommand    `cmd:"" help:"Open the page with the calls of another backend's store, read-only."`
	Watch      watchCommand      `cmd:"" help:"Show calls and tools in the terminal as they happen."`
	Tools      toolsCommand      `cmd:"" help:"Print the tools, as Interactly's API takes them."`
	Version    versionCommand    `cmd:"" help:"Print the version of this program."`

	VersionFlag versionFlag `name:"version" help:"Print the version and exit."`
}

// A terminal is where a command writes. Its writers let no control sequence of a
// payload through.
type terminal struct {
	out, err io.Writer
	live     bool     // out is a screen: it gets colors and progress
	errLive  bool     // err is one
	screen   *os.File // what out writes to, nil if it is not a screen
}

// errFailed ends a command that has already printed what failed.
var errFailed = errors.New("failed")

// A usageError is one that the user fixes by typing something else. It exits with 2.
type usageError struct{ error }

// run is the program. Tests call it too, so it does not touch os.Args, os.Stdout or os.Exit.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	t := &terminal{out: screen.NewWriter(stdout), err: screen.NewWriter(stderr), errLive: failprint.Color(stderr)}
	stderr = t.err
	if f, ok := stdout.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		t.screen, t.live = f, os.Getenv("NO_COLOR") == ""
	}
	exit := -1
	parser, err := newParser(
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
	if exit >= 0 { // --help and --version "exit" inside Parse
		return exit
	}
	if err != nil {
		fmt.Fprintf(stderr, "serverurl: %v\n  try: %s --help\n", err, commandPath(err))
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

// newParser returns the parser of the command line.
func newParser(options ...kong.Option) (*kong.Kong, error) {
	return kong.New(new(commands), append([]kong.Option{
		kong.Name("serverurl"),
		kong.Description("Play calls at the backend of a voice assistant, run it on this machine, and operate it."),
		kong.UsageOnError(),
		kong.ValueFormatter(withDefault),
		kong.Vars{"faults": list(simulate.Faults), "lossfaults": list(simulate.LossFaults)},
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, NoExpandSubcommands: true}),
	}, options...)...)
}

// withDefault adds the default to the help of a flag, which kong leaves out.
func withDefault(v *kong.Value) string {
	help := kong.DefaultHelpValueFormatter(v)
	if v.HasDefault && v.Default != "" {
		help += " Default: " + v.Default + "."
	}
	return help
}

// commandPath returns as much of the command as was recognized, for the hint
// which help to read.
func commandPath(err error) string {
	if p, ok := errors.AsType[*kong.ParseError](err); ok && p.Context.Selected() != nil {
		return p.Context.Selected().FullPath()
	}
	return "serverurl"
}

// list returns faults as the flag takes them.
func list(faults []simulate.Fault) string {
	names := make([]string, len(faults))
	for i, f := range faults {
		names[i] = string(f)
	}
	return strings.Join(names, ",")
}
