package calls

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// A Retention is how long each class of what is kept stays; zero is for ever.
// A call's time counts from the last that was heard of it, after it has ended.
// A call that goes on, one whose handlers are not done, and one that is held
// (see [PlaceHold]) stay. Tool records without a call end by themselves.
type Retention struct {
	Content     time.Duration // what was said and sent, and what tools were asked and answered
	Calls       time.Duration // all the rest of a call
	Quarantine  time.Duration // bodies that could not be understood
	DeadLetters time.Duration // events that could not be delivered, where the inbox leaves that to us
	Audit       time.Duration // the journal of what people did
}

// ParseRetention reads "content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y":
// d is days, y is 365 days, h hours; a class that is not named stays for ever.
func ParseRetention(text string) (Retention, error) {
	var r Retention
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, long, _ := strings.Cut(part, "=")
		to, ok := map[string]*time.Duration{"content": &r.Content, "calls": &r.Calls, "quarantine": &r.Quarantine, "dead": &r.DeadLetters, "audit": &r.Audit}[name]
		if !ok {
			return r, fmt.Errorf("core: retention has no class %q; there are content, calls, quarantine, dead and audit", name)
		}
		unit := map[byte]time.Duration{'h': time.Hour, 'd': 24 * time.Hour, 'y': 365 * 24 * time.Hour}
		var u time.Duration
		if long != "" {
			u = unit[long[len(long)-1]]
		}
		n, err := strconv.Atoi(strings.TrimRight(long, "hdy"))
		if err != nil || n <= 0 || u == 0 || n > 100_000 {
			return r, fmt.Errorf("core: retention of %s: want a number and h, d or y, such as 90d", name)
		}
		*to = time.Duration(n) * u
	}
	if r.Content > 0 && r.Calls > 0 && r.Content > r.Calls {
		return r, errors.New("core: retention: content cannot stay longer than its call")
	}
	return r, nil
}
