package calls

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// A Retention is how long each class of stored data is kept; zero is forever.
// A call's age counts from the last event, and only after its end. Never
// deleted are calls that are in progress, that have handlers left to run, or
// that are on hold (see [PlaceHold]).
type Retention struct {
	Content     time.Duration // messages, bodies of events, and what tools were asked and answered
	Calls       time.Duration // everything else of a call
	Quarantine  time.Duration // bodies that could not be decoded
	DeadLetters time.Duration // events that could not be delivered, if the inbox does not delete them itself
	Audit       time.Duration // the audit log
}

const day = 24 * time.Hour

// String returns r as [ParseRetention] takes it, "" if everything is kept forever.
func (r Retention) String() string {
	var parts []string
	for _, c := range []struct {
		name string
		long time.Duration
	}{{"content", r.Content}, {"calls", r.Calls}, {"quarantine", r.Quarantine}, {"dead", r.DeadLetters}, {"audit", r.Audit}} {
		switch {
		case c.long <= 0:
		case c.long%day == 0:
			parts = append(parts, fmt.Sprintf("%s=%dd", c.name, c.long/day))
		default:
			parts = append(parts, fmt.Sprintf("%s=%dh", c.name, c.long/time.Hour))
		}
	}
	return strings.Join(parts, ",")
}

var retentionUnits = map[byte]time.Duration{'h': time.Hour, 'd': day, 'y': 365 * day}

// ParseRetention parses "content=90d,calls=365d,quarantine=30d,dead=30d,audit=6y".
// The units are h for hours, d for days, and y for 365 days. A class that is
// not named is kept forever. Errors say what to write instead.
func ParseRetention(text string) (Retention, error) {
	var r Retention
	for part := range strings.SplitSeq(text, ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		name, long, _ := strings.Cut(part, "=")
		to, ok := map[string]*time.Duration{"content": &r.Content, "calls": &r.Calls, "quarantine": &r.Quarantine, "dead": &r.DeadLetters, "audit": &r.Audit}[name]
		if !ok {
			return r, fmt.Errorf("calls: retention has no class %q; the classes are content, calls, quarantine, dead and audit", name)
		}
		var unit time.Duration
		if long != "" {
			unit = retentionUnits[long[len(long)-1]]
		}
		n, err := strconv.Atoi(strings.TrimRight(long, "hdy"))
		if err != nil || n <= 0 || unit == 0 || time.Duration(n) > math.MaxInt64/unit {
			return r, fmt.Errorf("calls: retention of %s must be a number and h, d or y, such as 90d", name)
		}
		*to = time.Duration(n) * unit
	}
	if r.Content > 0 && r.Calls > 0 && r.Content > r.Calls {
		return r, errors.New("calls: retention of content must not be longer than that of calls")
	}
	return r, nil
}
