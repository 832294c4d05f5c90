package core

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A scope is where the requests of one call are, or of a tool if the call is not
// known. Only within it can a request be the duplicate of another.
type scope struct {
	dir     string
	counted bool          // its outcomes are numbered; otherwise only their age shows the order
	window  time.Duration // how long a request has duplicates; 0 is as long as the call is stored
	caller  string        // a digest of who called, "" if no argument names one
}

// scopeOf returns the scope of a request.
func scopeOf(t *tool, q toolRequest, canon []byte) scope {
	s := scope{dir: callstate.AnonymousToolsDir(q.from.tenant(), t.Name), window: anonymousWindow, caller: t.callerOf(canon)}
	switch {
	case q.call != "":
		s.dir, s.counted, s.window = callstate.ToolsDir(q.call), true, 0
	case s.caller != "" && t.Effect != Idempotent: // to run that again does no harm, to repeat what has changed does
		s.window = callerWindow
	}
	return s
}

// callerOf returns a digest of the caller that the canonical arguments name, or ""
// if they name none. Callers who may be one have the same digest: numbers with and
// without a country code, names in any case.
func (t *tool) callerOf(canon []byte) string {
	all := loosejson.Object(canon)
	parts, named := []string{"caller"}, false
	for _, name := range t.CallerArgs {
		v := gist(string(all[name]))
		named = named || v != ""
		parts = append(parts, v)
	}
	if !named {
		return ""
	}
	return callstate.Digest(parts...)
}

// gist returns what two spellings of one caller have in common: the last digits of
// a number, or the letters of a name.
func gist(v string) string {
	digits := strings.Map(keep(unicode.IsDigit), v)
	if len(digits) >= 7 {
		return digits[max(0, len(digits)-9):]
	}
	return strings.ToLower(strings.Map(keep(unicode.IsLetter), v)) + digits
}

// keep returns a mapping for strings.Map that drops other runes.
func keep(is func(rune) bool) func(rune) rune {
	return func(r rune) rune {
		if is(r) {
			return r
		}
		return -1
	}
}

// countKey returns the key of the count of the scope's outcomes, or "".
func (s scope) countKey() string {
	if !s.counted {
		return ""
	}
	return s.dir + "/" + callstate.ToolCountName
}

// callKey returns the key of the call's state, or "" if the call is not known.
func (c *claim) callKey() string {
	if c.q.call == "" {
		return ""
	}
	return callstate.CallKey(c.q.call)
}

// countOf returns the number in a count's record.
func countOf(r records.Record) int64 {
	var n callstate.ToolCount
	if r.Version == 0 || json.Unmarshal(r.Value, &n) != nil {
		return 0
	}
	return n.N
}

// idempotencyKey returns the key that a tool passes on, for a generation of the
// record at key.
func idempotencyKey(key string, generation int) string {
	_, name, _ := records.SplitKey(key)
	if generation == 0 {
		return name
	}
	return fmt.Sprintf("%s-%d", name, generation)
}

// changes is what has happened since a request was done.
type changes struct {
	any     bool // a side effect other than the request's was done, or may have been
	running bool // one is being done
	undone  bool // one was done that undoes the request's
}

// maxScanned bounds the records of a directory that are read to find changes. If
// there are more, something has changed.
const maxScanned = 2000

// changesSince looks for other side effects since the request of f was done: in
// its call, and in requests that name no call, which may be the same caller's.
func (p *Processor) changesSince(ctx context.Context, c *claim, f found) (changes, error) {
	var since changes
	var dirs []string
	if c.counted {
		dirs = append(dirs, c.dir)
	} else if p.lastEffect.within(c.q.from.tenant(), f.raw.Age) {
		since.any = true // a caller whose requests name the call in part
	}
	for _, name := range p.order {
		if p.tools[name].Effect != ReadOnly {
			dirs = append(dirs, callstate.AnonymousToolsDir(c.q.from.tenant(), name))
		}
	}
	for _, dir := range dirs {
		if err := p.scan(ctx, dir, func(r records.Record) { since.add(p, c, f, r) }); err != nil {
			return since, err
		}
	}
	return since, nil
}

// scan calls see for the records of a directory.
func (p *Processor) scan(ctx context.Context, dir string, see func(records.Record)) error {
	const page = 100
	for after, n := "", 0; n < maxScanned; {
		recs, err := p.on.Store.Range(ctx, dir, after, page)
		if err != nil {
			return err
		}
		for _, r := range recs {
			_, after, _ = records.SplitKey(r.Key)
			see(r)
		}
		if n += len(recs); len(recs) < page {
			return nil
		}
	}
	see(records.Record{}) // there is more than can be read
	return nil
}

// add adds one record of the scope.
func (since *changes) add(p *Processor, c *claim, f found, r records.Record) {
	if r.Key == "" {
		since.any = true
		return
	}
	if r.Key == c.key || callstate.IsToolNote(r.Key) {
		return
	}
	rec, ok := callstate.DecodeToolRecord(r)
	switch t := p.tools[rec.Tool]; {
	case !ok || t == nil:
		since.any = true // of another version of the program
	case rec.Caller != "" && c.caller != "" && rec.Caller != c.caller && rec.Call == "":
		// somebody else's
	case rec.State == callstate.ToolRunning && r.Age < p.lease(t):
		since.running = true
	case rec.State == callstate.ToolRunning: // its owner is dead
		since.any = true
	case rec.Seq == 0 && (rec.Call != "" || rec.Generation == 0) && (rec.State == callstate.ToolNotApplied || rec.State == callstate.ToolAbsent):
		// nothing was ever changed
	case !endedBefore(rec, r, f):
		since.any = true
		since.undone = since.undone || rec.State == callstate.ToolDone && beganAfter(rec, r, f) && undoes(t, rec.Args, c)
	}
}

// endedBefore reports whether an outcome was certain before the run of f began:
// by number, and where there is none by the store's clock.
func endedBefore(rec callstate.ToolRecord, r records.Record, f found) bool {
	if rec.Seq > 0 && f.rec.Seq > 0 {
		return rec.Seq <= f.rec.Began
	}
	return r.Age > f.raw.Age+f.rec.Finished.Sub(f.rec.Started)
}

// beganAfter reports whether a run began after the outcome of that of f.
func beganAfter(rec callstate.ToolRecord, r records.Record, f found) bool {
	if rec.Seq > 0 && f.rec.Seq > 0 {
		return rec.Began >= f.rec.Seq
	}
	return r.Age+rec.Finished.Sub(rec.Started) <= f.raw.Age
}

// undoes reports whether a run of t with args undoes the claim's request: t
// declares that, and the identifying arguments that both have are the same. If they
// have none in common, it may have undone another one.
func undoes(t *tool, args []byte, c *claim) bool {
	if !slices.Contains(t.Undoes, c.t.Name) {
		return false
	}
	ours, common := c.t.identifying(c.args), false
	for name, v := range t.identifying(args) {
		mine, both := ours[name]
		if both && !bytes.Equal(v, mine) {
			return false
		}
		common = common || both && t.shape.Has(name)
	}
	return common
}
