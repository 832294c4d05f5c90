package proc

import "os"

// An Action is what is done to a process. Windows cannot suspend one.
type Action int

const (
	Kill Action = iota
	Suspend
	Resume
)

// Send sends a to a process.
func Send(p *os.Process, a Action) error {
	if a == Kill {
		return p.Kill()
	}
	return nil
}
