package envelope

import (
	"math/rand/v2"
	"time"
)

// RetryDelay returns the pause before a message that failed for the attempt-th
// time, from 1 on, is redelivered: random, between half a bound and the bound,
// which starts at first and doubles up to last.
func RetryDelay(attempt int, first, last time.Duration) time.Duration {
	d := last
	if attempt < 10 {
		d = min(last, first<<max(0, attempt-1))
	}
	return d/2 + rand.N(d/2)
}
