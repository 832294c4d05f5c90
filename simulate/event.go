package simulate

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Types are the events that Event makes.
var Types = []string{"status-update", "conversation-update", "hang", "error", "end-of-call-report", "tool-calls", "function-call"}

// Event returns a whole sample of an event of the type, as it would come from
// the middle of a call. set changes values by their path, such as
// message.call.status: JSON where it reads as such, text otherwise.
func Event(kind string, set map[string]string) ([]byte, error) {
	if !slices.Contains(Types, kind) {
		return nil, fmt.Errorf("simulate: no event %q; there are %s", kind, strings.Join(Types, ", "))
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	c := newCall(Scenario{}, Options{Secret: "EXAMPLE-SECRET-REDACT-ME"}, 0, r, time.Now().Add(-time.Minute))
	c.statusUpdate("ongoing", "")
	c.now = c.now.Add(20 * time.Second)
	c.say("Thanks for calling Bright Smile Dental, how can I help?")
	c.now = c.now.Add(6 * time.Second)
	last := c.hear("I'd like to book a cleaning.", "")
	e := last
	switch kind {
	case "status-update":
		e = c.statusUpdate("ongoing", "")
	case "hang":
		e = c.hang()
	case "error":
		e = c.failure(ErrorStep{"llm_error", "rate_limit_exceeded", "Too many requests for this deployment", "openai"})
	case "end-of-call-report":
		c.by = "bot"
		e = c.report(ReportStep{Summary: "The caller booked a cleaning.", Success: "Excellent"})
	case "tool-calls":
		e = c.toolCalls("opening_hours", object{}, "call_"+letters(r, 8))
	case "function-call":
		e = object{"message": object{"type": "function-call", "functionCall": object{"name": "opening_hours", "parameters": object{}}, "call": object{"id": c.id}}}
	}
	var plain object // of plain types, to be changed
	if err := json.Unmarshal(encode(e), &plain); err != nil {
		panic(err)
	}
	for path, value := range set {
		if err := assign(plain, strings.Split(path, "."), value); err != nil {
			return nil, fmt.Errorf("simulate: %s: %w", path, err)
		}
	}
	return encode(plain), nil
}

// toolCalls is the envelope of the other dialect with one call.
func (c *call) toolCalls(name string, args object, id string) object {
	one := []object{{"id": id, "type": "function", "function": object{"name": name, "arguments": args}}}
	return object{"message": object{
		"timestamp": c.now.UnixMilli(), "type": "tool-calls", "toolCalls": one, "toolCallList": one,
		"toolWithToolCallList": []object{{"type": "function", "async": false, "function": object{"name": name}, "messages": []any{}, "toolCall": one[0],
			"server": object{"url": "https://hooks.example.com/tools/" + name, "timeoutSeconds": 20, "secret": c.secret}}},
		"call":      object{"id": c.id, "orgId": "org_1", "type": "inboundPhoneCall", "status": "in-progress"},
		"assistant": object{}, "customer": object{"number": c.user}, "phoneNumber": object{"number": deskNumber}, "artifact": object{"messages": []any{}},
	}}
}

func assign(in object, path []string, value string) error {
	if len(path) == 1 {
		var v any
		if jsontext.Value(value).IsValid() && json.Unmarshal([]byte(value), &v) == nil {
			in[path[0]] = v
		} else {
			in[path[0]] = value
		}
		return nil
	}
	next, ok := in[path[0]].(object)
	if !ok {
		if _, there := in[path[0]]; there {
			return fmt.Errorf("%s is no object", path[0])
		}
		next = object{}
		in[path[0]] = next
	}
	return assign(next, path[1:], value)
}
