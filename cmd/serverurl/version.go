package main

import (
	"fmt"
	"runtime/debug"

	"github.com/alecthomas/kong"
)

// buildVersion describes the build of this program. Everything in it was
// recorded by the Go command; nothing is set by a linker flag.
type buildVersion struct {
	Version  string `json:"version"`  // the module's, or "(devel)"
	Revision string `json:"revision"` // the commit; empty with `go run`, which does not record it
	Modified bool   `json:"modified"` // built with uncommitted changes
	Time     string `json:"time"`     // of the commit, RFC 3339
	Go       string `json:"go"`
}

// readVersion returns the version of this program, which is built as a module.
func readVersion() buildVersion {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return buildVersion{Version: "unknown"}
	}
	return versionOf(info)
}

func versionOf(info *debug.BuildInfo) buildVersion {
	v := buildVersion{Version: info.Main.Version, Go: info.GoVersion}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			v.Revision = s.Value
		case "vcs.modified":
			v.Modified = s.Value == "true"
		case "vcs.time":
			v.Time = s.Value
		}
	}
	return v
}

// String returns v on one line, as --version prints it.
func (v buildVersion) String() string {
	revision := "revision unknown"
	if v.Revision != "" {
		revision = "revision " + v.Revision
		if v.Modified {
			revision += " with local changes"
		}
	}
	return fmt.Sprintf("serverurl %s, %s, %s", v.Version, revision, v.Go)
}

// versionCommand prints what a bug report should begin with.
type versionCommand struct {
	JSON bool `help:"As JSON."`
}

func (*versionCommand) Help() string {
	return `Examples:
  serverurl version
  serverurl version --json`
}

// Run prints the version.
func (c *versionCommand) Run(t *terminal) error {
	v := readVersion()
	if c.JSON {
		return writeJSON(t, v)
	}
	_, err := fmt.Fprintln(t.out, v)
	return err
}

// versionFlag is --version, which prints what the command prints and exits.
type versionFlag bool

// BeforeReset runs before arguments are checked, so that --version works
// whatever else is on the command line.
func (versionFlag) BeforeReset(app *kong.Kong, t *terminal) error {
	fmt.Fprintln(t.out, readVersion())
	app.Exit(0)
	return nil
}
