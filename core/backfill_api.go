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

// A CallsAPI reads calls from Interactly's API. Events are sent once, so those
// that were lost can be recovered only there (docs/backfill.md#api). Package
// interactly implements it.
type CallsAPI interface {
	// Get returns the JSON object of a call with its messages, or nil if the API
	// does not know the call. Its errors quote nothing of the response.
	Get(ctx context.Context, id string) ([]byte, error)

	// List yields the JSON objects of the calls that started in a span of time,
	// usually without messages. It stops after an error: calls are missing then.
	List(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error]
}

// A knownCall is what a backfill reads of a call's object.
type knownCall struct {
	id         event.CallID
	assistant  string
	tenant     string // whose it is
	status     event.Status
	start, end time.Time
	members    map[string]jsontext.Value
}

// readKnown reads a call's object. The id is "" if it has none.
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

// event returns the body of the event that would have said the same: the report
// of a call that is over, a conversation-update of one in progress.
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
		return nil, errBadAnswer // the encoder's text quotes it
	}
	message["type"] = loosejson.Quoted(string(typ))
	body, err := json.Marshal(map[string]any{"message": message}, json.Deterministic(true), allowDuplicateNames)
	if err != nil {
		return nil, errBadAnswer
	}
	return body, nil
}

// allowDuplicateNames is set because members are copied as the API sent them.
var allowDuplicateNames = jsontext.AllowDuplicateNames(true)
