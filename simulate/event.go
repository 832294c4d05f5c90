package simulate

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// EventTypes are the types that SampleEvent knows.
var EventTypes = []string{"status-update", "conversation-update", "hang", "error", "end-of-call-report", "tool-calls", "function-call"}

// SampleEvent returns a complete event of the type, as sent during a call. set
// changes values by path, such as message.call.status or message.messages.0.text:
// to JSON if the value is valid JSON, and to text otherwise.
func SampleEvent(kind string, set map[string]string) ([]byte, error) {
	if !slices.Contains(EventTypes, kind) {
		return nil, fmt.Errorf("simulate: unknown event %q; there are %s", kind, strings.Join(EventTypes, ", "))
	}
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))
	c := newCall(Scenario{}, Options{Secret: "EXAMPLE-SECRET-REDACT-ME"}, 0, r, time.Now().Add(-time.Minute))
	c.statusUpdate("ongoing", "")
	c.now = c.now.Add(20 * time.Second)
	c.assistantSays("Thanks for calling Bright Smile Dental, how can I help?")
	c.now = c.now.Add(6 * time.Second)
	last := c.callerSays("I'd like to book a cleaning.", "")
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
		e = c.toolCalls("opening_hours", object{}, false, "call_"+randomText(r, 8))
	case "function-call":
		e = c.functionCall("opening_hours", object{})
	}
	var decoded any
	if err := json.Unmarshal(encode(e), &decoded); err != nil {
		panic(err)
	}
	for _, path := range slices.Sorted(maps.Keys(set)) {
		var err error
		if decoded, err = assign(decoded, strings.Split(path, "."), set[path]); err != nil {
			return nil, fmt.Errorf("simulate: path %q: %w", path, err)
		}
	}
	return encode(decoded), nil
}

// toolCalls returns Vapi's envelope (docs/tools.md#dialects) with one call of the
// tool for each id. Arguments are an object, or text.
func (c *call) toolCalls(name string, args object, asText bool, ids ...string) object {
	var given any = args
	if asText {
		given = string(encode(args))
	}
	var list, whole []object
	for _, id := range ids {
		one := object{"id": id, "type": "function", "function": object{"name": name, "arguments": given}}
		list = append(list, one)
		whole = append(whole, object{"type": "function", "async": false, "function": object{"name": name}, "messages": []any{}, "toolCall": one,
			"server": object{"url": "https://hooks.example.com/tools/" + name, "timeoutSeconds": 20, "secret": c.secret}})
	}
	return object{"message": object{
		"timestamp": c.now.UnixMilli(), "type": "tool-calls", "toolCalls": list, "toolCallList": list, "toolWithToolCallList": whole,
		"call":      object{"id": c.id, "orgId": "org_1", "type": "inboundPhoneCall", "status": "in-progress"},
		"assistant": object{}, "customer": object{"number": c.user}, "phoneNumber": object{"number": c.number}, "artifact": object{"messages": []any{}},
	}}
}

// functionCall returns its older form, which has no ids.
func (c *call) functionCall(name string, args object) object {
	return object{"message": object{
		"timestamp": c.now.UnixMilli(), "type": "function-call", "functionCall": object{"name": name, "parameters": args},
		"call": object{"id": c.id, "orgId": "org_1", "type": "inboundPhoneCall", "status": "in-progress"},
	}}
}

// exactNumbers keeps the digits of numbers, which a float64 would round.
var exactNumbers = json.WithUnmarshalers(json.UnmarshalFromFunc(func(d *jsontext.Decoder, to *any) error {
	if d.PeekKind() != '0' {
		return errors.ErrUnsupported
	}
	v, err := d.ReadValue()
	*to = v.Clone()
	return err
}))

// assign returns v with the value set at a path of names, and of indexes in
// lists. Missing objects on the path are created.
func assign(v any, path []string, value string) (any, error) {
	if len(path) == 0 {
		var parsed any
		if json.Unmarshal([]byte(value), &parsed, exactNumbers) != nil {
			return value, nil
		}
		return parsed, nil
	}
	switch in := v.(type) {
	case nil:
		return assign(object{}, path, value)
	case object:
		of, err := assign(in[path[0]], path[1:], value)
		in[path[0]] = of
		return in, err
	case []any:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 0 || i >= len(in) {
			return v, fmt.Errorf("%q is not an index of a list of %d", path[0], len(in))
		}
		in[i], err = assign(in[i], path[1:], value)
		return in, err
	}
	return v, fmt.Errorf("%q is not in an object or a list", path[0])
}
