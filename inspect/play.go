package inspect

import (
	"net/http"
	"slices"
)

// maxPlaying is how many scenarios are played at a time.
const maxPlaying = 4

// play plays a scenario against the backend. It goes on if the visitor leaves.
func (p *Server) play(w http.ResponseWriter, r *http.Request) {
	name := r.FormValue("scenario")
	if p.o.Play == nil || !slices.ContainsFunc(p.o.Scenarios, func(s Scenario) bool { return s.Name == name }) {
		p.message(w, r, http.StatusBadRequest, "There is no such scenario.", "")
		return
	}
	p.playMu.Lock()
	busy := p.played >= maxPlaying
	if !busy {
		p.played++
	}
	p.playMu.Unlock()
	if busy {
		p.message(w, r, http.StatusTooManyRequests, "Four calls are already being played.", "Wait until one has ended.")
		return
	}
	p.playing.Go(func() {
		defer func() {
			p.playMu.Lock()
			p.played--
			p.playMu.Unlock()
		}()
		if err := p.o.Play(p.run, name); err != nil && p.run.Err() == nil {
			p.o.Logger.Warn("scenario failed", "scenario", name)
		}
	})
	http.Redirect(w, r, "/", http.StatusSeeOther)
}
