package sqldb

import (
	"log/slog"
	"testing"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/internal/testing/pgtest"
)

// startPooler returns the URL of a fresh database through a pooler.
func startPooler(t *testing.T) string {
	return pgtest.Pooler(t, pgtest.Open(t))
}

func TestThroughPooler(t *testing.T) {
	where := startPooler(t)
	db := open(t, where)
	if !db.pollOnly {
		t.Error("notifications that do not come through were not noticed")
	}
	// The suite wants an empty inbox for each case; what is left in this one is
	// of other cases, and known by its ids.
	coretest.Inbox(t, coretest.InboxCapabilities{ConcurrentEvents: 300}, func(t *testing.T, deliver coretest.DeliverFunc) core.Inbox {
		if _, err := db.write.Exec("DELETE FROM river_job"); err != nil {
			t.Fatal(err)
		}
		in, _ := startInbox(t, open(t, where), deliver, InboxOptions{MaxAttempts: 4, Logger: slog.New(slog.DiscardHandler)})
		return in
	})
}

func TestNotificationsAreUsedWhereTheyCome(t *testing.T) {
	if open(t, pgtest.Open(t)).pollOnly {
		t.Error("the inbox is polled on a direct connection")
	}
}
