//go:build failpoints

package fault

import (
	"os"
	"time"
)

// Point kills the process if SERVERURL_FAILPOINT names the place, as SIGKILL
// does: nothing is cleaned up. With SERVERURL_FAILPOINT_ONCE it does so only
// as long as it can create the file named there, so that the next process
// lives.
func Point(place string) {
	if os.Getenv("SERVERURL_FAILPOINT") != place {
		return
	}
	if once := os.Getenv("SERVERURL_FAILPOINT_ONCE"); once != "" {
		f, err := os.OpenFile(once, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
		if err != nil {
			return
		}
		_ = f.Close()
	}
	self, err := os.FindProcess(os.Getpid())
	if err == nil {
		_ = self.Kill()
	}
	time.Sleep(time.Hour) // the signal is on its way
}
