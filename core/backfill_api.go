package core

import (
	"context"
	"iter"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// CallsAPI is what Interactly itself knows of calls. Events are sent once, so
// what was lost on the way is known there only (docs/backfill.md#api). Package
// interactly has one.
type CallsAPI interface {
	// Get returns the API's object of a call, with what was said in it, or
	// nil where the API knows no such call. Errors hold nothing of it.
	Get(ctx context.Context, id string) ([]byte, error)

	// List yields the objects of the calls that started in a span of time,
	// mostly without what was said. An error comes last: calls are missing.
	List(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error]
}

// A knownCall is an object of the API's, as far as repair looks at it.
type knownCall struct {
	id         event.CallID
	assistant  string
	status     event.Status
	start, end time.Time
	members    map[string]jsontext.Value
}

// readKnown reads an object. The id is "" where it names none.
func readKnown(raw []byte) knownCall {
	k := knownCall{members: loosejson.Object(raw)}
	m := k.members
	for _, name := range []string{"id", "conversationId", "_id"} {
		if k.id = event.CallID(loosejson.Text(m[name])); k.id != "" {
			break
		}
	}
	if k.assistant = loosejson.Text(m["assistantId"]); k.assistant == "" {
		k.assistant = loosejson.Text(loosejson.Object(m["assistant"])["_id"])
	}
	k.status = event.StatusFrom(loosejson.Text(m["status"]), "", loosejson.Text(m["phoneCallStatus"]))
	k.start, k.end = loosejson.Time(m["startAt"]), loosejson.Time(m["endAt"])
	return k
}

// over reports whether the call has ended.
func (k knownCall) over() bool { return k.status.Terminal() || !k.end.IsZero() }

// event is the body that would have told what the object does: the report of a
// call that is over, the conversation of one that goes on.
func (k knownCall) event(id event.CallID) ([]byte, error) {
	typ := event.TypeConversationUpdate
	call := map[string]jsontext.Value{}
	for name, v := range k.members {
		switch name {
		case "messages", "analysis", "assistant", "phone", "customer", "monitor":
		default:
			call[name] = v
		}
	}
	call["id"] = loosejson.Quoted(string(id))
	message := map[string]jsontext.Value{}
	if k.over() {
		typ = event.TypeReport
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
	if message["call"], err = json.Marshal(call, json.Deterministic(true), allowDuplicateNames); err != nil {
		return nil, errBadAnswer // the encoder's words may quote it
	}
	message["type"] = loosejson.Quoted(string(typ))
	body, err := json.Marshal(map[string]any{"message": message}, json.Deterministic(true), allowDuplicateNames)
	if err != nil {
		return nil, errBadAnswer
	}
	return body, nil
}

var allowDuplicateNames = jsontext.AllowDuplicateNames(true)
