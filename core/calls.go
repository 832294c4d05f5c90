package core

import (
	"bytes"
	"context"
	"iter"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Calls is what Interactly itself knows of calls. Events are sent once, so
// what was lost on the way is known there only (docs/repair.md#api). Package
// interactly has one.
type Calls interface {
	// Object returns the API's object of a call, with what was said in it, or
	// nil where the API knows no such call. Errors hold nothing of it.
	Object(ctx context.Context, id string) ([]byte, error)

	// Objects yields the objects of the calls that started in a span of time,
	// mostly without what was said. An error comes last: calls are missing.
	Objects(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error]
}

// An Asker is a [Repair], or nil where a platform asks nobody. It is an interface
// so that the linker leaves repair out of programs that have none, such as a
// Worker, which starts the faster the smaller it is.
type Asker interface {
	round(p *Processor) rounds
}

// rounds is what a sweep asks for: see round.
type rounds interface {
	overdue(ctx context.Context, s *callState, recs []Record, now time.Time) (wait bool, err error)
	listDue(ctx context.Context) error
	say()
}

// A Repair says how [Processor.Sweep] asks for what was never sent. The zero
// value of each field means its default, and without Calls nothing is asked.
type Repair struct {
	Calls Calls

	// Assistants are those whose calls are ours, by id, or "*" for all of the
	// account. A call that we never heard of is taken over only when it is of
	// one of them, or of one that had a call with us in the same list.
	Assistants []string

	// Requests is how many calls one sweep asks for. Default 200.
	Requests int

	// Time is how long one sweep may ask. Default 45 s.
	Time time.Duration

	// Wait is how long a call that is overdue is asked for until it ends
	// without an answer. Default 15 minutes.
	Wait time.Duration

	// Every is how often the list of the last day's calls is compared with
	// ours. Default 1 hour.
	Every time.Duration
}

// A knownCall is an object of the API's, as far as repair looks at it.
type knownCall struct {
	id         CallID
	assistant  string
	status     Status
	start, end time.Time
	members    map[string]jsontext.Value
}

// readKnown reads an object. The id is "" where it names none.
func readKnown(raw []byte) knownCall {
	k := knownCall{members: object(raw)}
	m := k.members
	for _, name := range []string{"id", "conversationId", "_id"} {
		if k.id = CallID(text(m[name])); k.id != "" {
			break
		}
	}
	if k.assistant = text(m["assistantId"]); k.assistant == "" {
		k.assistant = text(object(m["assistant"])["_id"])
	}
	k.status = statusFrom(text(m["status"]), "", text(m["phoneCallStatus"]))
	k.start, k.end = readTime(m["startAt"]), readTime(m["endAt"])
	return k
}

// over reports whether the call has ended.
func (k knownCall) over() bool { return k.status.Terminal() || !k.end.IsZero() }

// event is the body that would have told what the object does: the report of a
// call that is over, the conversation of one that goes on.
func (k knownCall) event(id CallID) ([]byte, error) {
	typ := EventConversationUpdate
	call := map[string]jsontext.Value{}
	for name, v := range k.members {
		switch name {
		case "messages", "analysis", "assistant", "phone", "customer", "monitor":
		default:
			call[name] = v
		}
	}
	call["id"] = quoted(string(id))
	message := map[string]jsontext.Value{}
	if k.over() {
		typ = EventReport
		if !k.end.IsZero() {
			message["timestamp"] = jsontext.Value(k.end.AppendFormat(nil, `"`+time.RFC3339Nano+`"`))
		}
	}
	for _, name := range []string{"messages", "analysis", "assistant", "phone", "customer"} {
		if v := k.members[name]; len(v) > 0 {
			message[name] = v
		}
	}
	var err error
	if message["call"], err = json.Marshal(call, json.Deterministic(true), loose); err != nil {
		return nil, errBadAnswer // the encoder's words may quote it
	}
	message["type"] = quoted(string(typ))
	body, err := json.Marshal(map[string]any{"message": message}, json.Deterministic(true), loose)
	if err != nil {
		return nil, errBadAnswer
	}
	return body, nil
}

var loose = jsontext.AllowDuplicateNames(true)

func quoted(s string) jsontext.Value {
	b, err := jsontext.AppendQuote(nil, s)
	if err != nil { // ids that are no UTF-8 never get here
		return jsontext.Value(`""`)
	}
	return b
}

// ours tells which of the listed calls that we never heard of are ours to take
// over: had says which we have.
func (r *Repair) ours(listed []knownCall, had func(CallID) bool) []knownCall {
	assistants := map[string]bool{}
	for _, a := range r.Assistants {
		assistants[a] = true
	}
	for _, k := range listed {
		if k.assistant != "" && had(k.id) {
			assistants[k.assistant] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(listed), func(k knownCall) bool {
		return had(k.id) || !assistants["*"] && !assistants[k.assistant]
	})
}

// sound reports whether an answer is JSON of a size and depth that we take.
func (p *Processor) sound(raw []byte) bool {
	return len(raw) <= p.on.Limits.Body && p.on.Limits.scan(bytes.TrimSpace(raw)) == nil
}
