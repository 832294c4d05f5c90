package proc

import "os"

// An Action is what is done to a process. Windows cannot freeze one.
type Action int

const (
	End Action = iota
	Freeze
	Wake
)

// Send does it to a process.
func Send(p *os.Process, a Action) error {
	if a == End {
		return p.Kill()
	}
	return nil
}
