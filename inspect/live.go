package inspect

import (
	"fmt"
	"net/http"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// apart is the least time between two messages to a browser: it draws no
// faster.
const apart = 60 * time.Millisecond

// live tells a browser what changed: "list" for the list, "call" for the call
// that it looks at. What it shows it then asks for.
func (p *Page) live(w http.ResponseWriter, r *http.Request) {
	rc := http.NewResponseController(w)
	_ = rc.SetWriteDeadline(time.Time{})
	_ = rc.SetReadDeadline(time.Time{})
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	fmt.Fprint(w, "retry: 1000\nevent: hello\ndata: 1\n\n")
	if rc.Flush() != nil {
		return
	}
	call := event.CallID(r.URL.Query().Get("call"))
	watcher := p.index.watch()
	defer p.index.forget(watcher)
	beat := time.NewTicker(15 * time.Second)
	defer beat.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-beat.C:
			fmt.Fprint(w, ": still here\n\n")
		case <-watcher.wake:
			ids := watcher.take()
			fmt.Fprint(w, "event: list\ndata: 1\n\n")
			if call != "" && ids[call] {
				fmt.Fprint(w, "event: call\ndata: 1\n\n")
			}
		}
		if rc.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(apart):
		}
	}
}
