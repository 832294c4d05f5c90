package emulate

import "os"

// An action is what is done to a process. Windows cannot freeze one.
type action int

const (
	end action = iota
	freeze
	wake
)

func send(p *os.Process, a action) error {
	if a == end {
		return p.Kill()
	}
	return nil
}
