package callstate

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
)

// ToolRecordVersion is the version of a toolRecord; others are left alone.
const ToolRecordVersion = 1

// ToolState is where the one run of a request stands.
//
//	(none) → running → done | failed      the result is kept and repeated
//	         running → released           nothing was changed: may run again
//	         running → unknown            the owner died, or cannot tell
//	unknown → done | released             as Reconcile says
//	unknown → running                     core.Idempotent only
type ToolState string

const (
	ToolRunning       ToolState = "running"
	ToolDone          ToolState = "done"
	ToolFailed        ToolState = "failed"
	ToolNotApplied    ToolState = "released"
	ToolIndeterminate ToolState = "unknown"

	// Not states of a record, but of an answer.
	ToolTimedOut   = "late"
	ToolSuperseded = "fenced"
)

// A ToolRecord is what is kept of a request that changes something. Every step
// of it is one conditional commit, so that an owner that was overtaken cannot
// write; the fence counts the owners.
type ToolRecord struct {
	V        int            `json:"v"`
	Tool     string         `json:"tool"`
	Call     event.CallID   `json:"call,omitempty"`
	State    ToolState      `json:"state"`
	Fence    int64          `json:"fence"`
	Owner    string         `json:"owner"`
	Args     jsontext.Value `json:"args,omitempty"`
	Result   string         `json:"result,omitempty"`
	Started  time.Time      `json:"started"`
	Finished time.Time      `json:"finished,omitzero"`
}
