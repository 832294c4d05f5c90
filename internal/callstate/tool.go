package callstate

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
)

// ToolRecordVersion is the version of a [ToolRecord]. Records of another
// version belong to another version of the program and are not changed.
const ToolRecordVersion = 1

// A ToolState is the state of the one run of a request.
//
//	(none)        → running
//	running       → done | failed     the result is stored and replayed
//	running       → not applied       nothing was changed: it may run again
//	running       → indeterminate     the owner died, or the tool does not know
//	indeterminate → done | not applied   as the tool's Reconcile reports
//	indeterminate → running           only for core.Idempotent
type ToolState string

// The states of a tool call.
const (
	ToolRunning       ToolState = "running"
	ToolDone          ToolState = "done"
	ToolFailed        ToolState = "failed"
	ToolNotApplied    ToolState = "released"
	ToolIndeterminate ToolState = "unknown"

	// These are states of an answer only, never of a record.
	ToolTimedOut   = "late"   // the reply deadline came before the result
	ToolSuperseded = "fenced" // a newer owner runs the request
)

// A ToolRecord is what is stored of a request that changes something. Each
// transition is one conditional commit, so that an owner that was superseded
// cannot write.
type ToolRecord struct {
	V        int            `json:"v"`
	Tool     string         `json:"tool"`
	Call     event.CallID   `json:"call,omitempty"`
	State    ToolState      `json:"state"`
	Fence    int64          `json:"fence"` // the fencing token: how many owners there were
	Owner    string         `json:"owner"` // random, for the owner to recognize its record
	Args     jsontext.Value `json:"args,omitempty"`
	Result   string         `json:"result,omitempty"` // the line that was sent
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
}
