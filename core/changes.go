package core

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A scope is where the requests of one caller are, as far as it is known who
// that is. Only within it can a request be the duplicate of another, and only
// there is known what else was done.
type scope struct {
	dir     string
	counted bool          // its outcomes are numbered; otherwise only their age shows the order
	window  time.Duration // how long a request has duplicates; 0 is as long as the call is stored
}

// scopeOf returns the scope of a request: its call, its caller if the tool's
// arguments name one, or else the tool itself.
func scopeOf(t *tool, q toolRequest, canon []byte) scope {
	if q.call != "" {
		return scope{dir: callstate.ToolsDir(q.call), counted: true}
	}
	caller := t.callerOf(canon)
	switch {
	case caller == "":
		return scope{dir: callstate.AnonymousToolsDir(t.Name), window: anonymousWindow}
	case t.Effect == Idempotent: // to run it again does no harm, to repeat what has changed does
		return scope{callstate.CallerToolsDir(caller), true, anonymousWindow}
	}
	return scope{callstate.CallerToolsDir(caller), true, callerWindow}
}

// callerOf returns the caller that the canonical arguments name, as a digest of
// the values of CallerArgs, or "" if they name none.
func (t *tool) callerOf(canon []byte) string {
	all := loosejson.Object(canon)
	parts, named := []string{"caller"}, false
	for _, name := range t.CallerArgs {
		v := string(all[name])
		named = named || v != "" && v != `""` && v != "null"
		parts = append(parts, v)
	}
	if !named {
		return ""
	}
	return callstate.Digest(parts...)
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

// changes is what has happened in a scope since a request was done.
type changes struct {
	any     bool // a side effect other than the request's was done, or may have been
	running bool // one is being done
	undone  bool // one was done that undoes the request's
}

// maxScanned bounds the records that are read to find changes. In a scope with
// more of them something has changed.
const maxScanned = 500

// changesSince looks for other side effects since the request of f was done.
func (p *Processor) changesSince(ctx context.Context, c *claim, f found) (changes, error) {
	var since changes
	dirs := []string{c.dir}
	if !c.counted {
		var sure bool
		if dirs, sure = p.anonymousDirs(); !sure {
			return changes{any: true}, nil
		}
	}
	for _, dir := range dirs {
		if err := p.scan(ctx, dir, func(r records.Record) { since.add(p, c, f, r) }); err != nil {
			return since, err
		}
		if since.any && since.running {
			break
		}
	}
	return since, nil
}

// anonymousDirs returns where requests are that name neither call nor caller.
// sure is false if other tools' requests name their caller, and so are elsewhere.
func (p *Processor) anonymousDirs() (dirs []string, sure bool) {
	for _, name := range p.order {
		t := p.tools[name]
		if t.Effect == ReadOnly {
			continue
		}
		if len(t.CallerArgs) > 0 {
			return nil, false
		}
		dirs = append(dirs, callstate.AnonymousToolsDir(name))
	}
	return dirs, true
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
	case rec.State == callstate.ToolRunning && r.Age < p.lease(t):
		since.running = true
	case rec.State == callstate.ToolRunning: // its owner is dead
		since.any = true
	case rec.Seq == 0 && (c.counted || rec.Generation == 0) && (rec.State == callstate.ToolNotApplied || rec.State == callstate.ToolAbsent):
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
// declares that, and the identifying arguments that both have are the same.
func undoes(t *tool, args []byte, c *claim) bool {
	if !slices.Contains(t.Undoes, c.t.Name) {
		return false
	}
	if len(args) == 0 { // they were too large to keep
		return false
	}
	ours := c.t.identifying(c.args)
	for name, v := range t.identifying(args) {
		if mine, both := ours[name]; both && !bytes.Equal(v, mine) {
			return false
		}
	}
	return true
}
