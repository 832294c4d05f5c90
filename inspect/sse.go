package inspect

import (
	"fmt"
	"net/http"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

const (
	// minInterval is the least time between two messages to a browser, which
	// need not draw more often.
	minInterval = 60 * time.Millisecond

	// heartbeat is how often a comment keeps an idle stream open.
	heartbeat = 15 * time.Second
)

// live is an event stream that reports to a browser what changed: "list" is the
// list, "call" the call that it shows. The browser then fetches it.
func (p *Server) live(w http.ResponseWriter, r *http.Request) {
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
	s := p.index.subscribe()
	defer p.index.unsubscribe(s)
	idle := time.NewTicker(heartbeat)
	defer idle.Stop()
	for {
		select {
		case <-r.Context().Done():
			return
		case <-idle.C:
			fmt.Fprint(w, ": heartbeat\n\n")
		case <-s.wake:
			ids := s.take()
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
		case <-time.After(minInterval):
		}
	}
}
