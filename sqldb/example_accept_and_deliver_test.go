package sqldb_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/sqldb"
)

// An event is on disk when Put returns, and is delivered until that succeeds.
// deliver is a processor's Deliver, in a backend.
func Example_acceptAndDeliver() {
	dir, err := os.MkdirTemp("", "sqldb")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()

	db, err := sqldb.Open(ctx, filepath.Join(dir, "serverurl.db")) // or a postgres:// URL
	if err != nil {
		log.Fatal(err)
	}
	delivered := make(chan core.Envelope)
	deliver := func(_ context.Context, e core.Envelope) error {
		delivered <- e
		return nil
	}
	inbox, err := sqldb.NewInbox(db, deliver, sqldb.InboxOptions{})
	if err != nil {
		log.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- inbox.Run(ctx) }()

	err = inbox.Put(ctx, core.Envelope{ID: "1", Received: time.Now(), Type: event.TypeHang, Call: "call-1", Body: []byte(`{}`)})
	fmt.Println("accepted:", err == nil)
	e := <-delivered
	fmt.Println("delivered:", e.Type, e.Call)

	stop()
	fmt.Println("stopped:", <-ended, db.Close())
	// Output:
	// accepted: true
	// delivered: hang call-1
	// stopped: <nil> <nil>
}
