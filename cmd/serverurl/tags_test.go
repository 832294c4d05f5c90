package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
)

// The search of a large store says how far it is, and stops at its limit.
func TestTagInALargeStore(t *testing.T) {
	const n = 25_000
	s := coretest.NewMemoryStore()
	for i := range n {
		if err := s.Commit(t.Context(), records.Record{Key: fmt.Sprintf("%s/%08d", callstate.RecentDir, i), Value: fmt.Appendf(nil, "CA%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	v := auth.Verifier{Secrets: auth.ParseSecrets("s3cret-s3cret-s3cret-0123456789")}
	keys := &tagKeys{keys: [][32]byte{v.LogKey()}, secret: true}
	for _, c := range []struct {
		call, limit int
		found       bool
		progress    int
	}{
		{3, 0, true, 0}, {n - 1, 0, true, 2}, {n - 1, n, true, 2}, {10_000, 10_000, false, 0}, {9_999, 10_000, true, 0}, {n, 0, false, 2},
	} {
		var progress bytes.Buffer
		id := event.CallID(fmt.Sprintf("CA%d", c.call))
		got, err := keys.find(t.Context(), &terminal{err: &progress}, s, calls.LogTag(v.LogKey(), id), c.limit)
		if c.found != (err == nil) || c.found && (len(got) != 1 || got[0] != id) {
			t.Errorf("call %d, limit %d: %v, %v", c.call, c.limit, got, err)
		}
		if n := strings.Count(progress.String(), "looked through"); n != c.progress {
			t.Errorf("call %d, limit %d: %d lines of progress, want %d", c.call, c.limit, n, c.progress)
		}
	}
}
