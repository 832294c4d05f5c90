package main

import (
	"runtime/debug"
	"testing"
)

// A test binary has no commit in it, so what the Go command records in a build
// is made up here.
func TestVersionOfABuild(t *testing.T) {
	info := &debug.BuildInfo{
		GoVersion: "go1.26.8",
		Main:      debug.Module{Version: "v1.2.3"},
		Settings:  []debug.BuildSetting{{Key: "vcs.revision", Value: "c93c3d4"}, {Key: "vcs.time", Value: "2026-11-28T13:22:00Z"}, {Key: "vcs.modified", Value: "true"}},
	}
	got := versionOf(info)
	if want := (buildVersion{Version: "v1.2.3", Revision: "c93c3d4", Modified: true, Time: "2026-11-28T13:22:00Z", Go: "go1.26.8"}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if want := "serverurl v1.2.3, revision c93c3d4 with local changes, go1.26.8"; got.String() != want {
		t.Errorf("got %q, want %q", got, want)
	}
}
