package callstate

import (
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
)

// ToolRecordVersion is the version of a [ToolRecord]. Records of a later
// version belong to a later version of the program and are not changed; those
// of version 1 have neither Generation nor Seq.
const ToolRecordVersion = 2

// A ToolState is the state of the latest run of a request.
//
//	(none)        → running
//	running       → done              the result is stored and replayed
//	running       → not applied       nothing was changed: the next request runs
//	running       → indeterminate     the owner died, or the tool does not know
//	indeterminate → done | absent     as the tool's Reconcile reports
//	indeterminate → running           only for core.Idempotent
//	absent        → running           the same run is made up for
//	done | not applied → running      a new generation: the wish is made anew
type ToolState string

// The states of a tool call.
const (
	ToolRunning       ToolState = "running"
	ToolDone          ToolState = "done"
	ToolFailed        ToolState = "failed" // of a read, and in records of version 1
	ToolNotApplied    ToolState = "released"
	ToolAbsent        ToolState = "absent"
	ToolIndeterminate ToolState = "unknown"

	// These are states of an answer only, never of a record.
	ToolDeclined   = "declined"    // a read that has answered with a sentence of its own
	ToolTimedOut   = "late"        // the reply deadline came before the result
	ToolSuperseded = "fenced"      // a newer owner runs the request
	ToolDoneBefore = "done before" // it was done, something else since, and it is not done again
	ToolNotStarted = "not started" // the budget was used up by what came before in the same request
	ToolRefused    = "refused"     // the request cannot run: an argument, an unknown tool, a call that is over
	ToolUnreadable = "unreadable"  // its arguments cannot be read at all
	ToolStoreDown  = "store down"  // the store did not answer in time
)

// A ToolRecord is what is stored of a request that changes something: its
// latest run. Each transition is one conditional commit, so that an owner that
// was superseded cannot write.
type ToolRecord struct {
	V    int          `json:"v"`
	Tool string       `json:"tool"`
	Call event.CallID `json:"call,omitempty"`
	// Caller is a digest of who called, as far as an argument names one.
	Caller string `json:"caller,omitempty"`

	State ToolState `json:"state"`
	Fence int64     `json:"fence"` // the fencing token: how many owners there were
	Owner string    `json:"owner"` // random, for the owner to recognize its record

	// Generation counts the runs that were made because the same was wanted
	// again, from 0. A run that makes up for one whose outcome was unknown is of
	// the same generation, and so has the same idempotency key.
	Generation int `json:"gen,omitempty"`

	// Seq numbers the outcomes of the call's side effects, by the store and not by
	// a clock, and Began is the last number that there was when the run began: what
	// has a number above Began came later, or at the same time. What began with
	// Seq or above certainly came later. Seq stays when a later generation changes
	// nothing. Zero if they were not counted.
	Began int64 `json:"began,omitempty"`
	Seq   int64 `json:"seq,omitempty"`

	Args     jsontext.Value `json:"args,omitzero"`    // absent if they are too large
	Result   string         `json:"result,omitempty"` // the line that was sent
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
}

// DecodeToolRecord decodes a record of a tools directory. ok is false if it is
// none: a [Delivery], the count, or of another version of the program.
func DecodeToolRecord(r records.Record) (rec ToolRecord, ok bool) {
	if r.Version == 0 || json.Unmarshal(r.Value, &rec) != nil || rec.V < 1 || rec.V > ToolRecordVersion || rec.State == "" {
		return ToolRecord{}, false
	}
	return rec, true
}

// A Delivery is what is stored under the id of a tool call: which request came
// with it, and the answer that was given.
type Delivery struct {
	Request    string    `json:"request"`          // a digest of the tool and all of its arguments
	Generation int       `json:"gen,omitempty"`    // of the run that it is part of
	State      ToolState `json:"state,omitempty"`  // empty while there is no final answer
	Result     string    `json:"result,omitempty"` // the final answer
	Reused     bool      `json:"reused,omitempty"` // requests that differ came with the same id, so it identifies nothing
}

// A ToolCount numbers the outcomes of one call's side effects. It is committed
// together with each of them.
type ToolCount struct {
	N int64 `json:"n"`
}
