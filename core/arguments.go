package core

import (
	"errors"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/loosejson"
)

var errBadArguments = errors.New("core: arguments do not match the tool")

// read returns the arguments of a request in canonical form: the same bytes
// whatever their order, white space and spelling (docs/tools.md#arguments). The
// error has a sentence, which names the argument and never its value. call is
// asked if a hidden argument is of the call.
func (t *tool) read(q toolRequest, call func() Call) (jsontext.Value, error) {
	canon, err := t.shape.Read(q.args, q.query)
	if err == nil {
		return t.addHidden(q, canon, call)
	}
	sentence := q.say().Unreadable
	if problem, ok := errors.AsType[*arguments.Problem](err); ok {
		sentence = q.say().about(problem)
	} else if errors.Is(err, arguments.ErrWrapped) {
		sentence = q.say().Wrapped
	}
	return nil, &SayError{Sentence: sentence, Err: err}
}

// sentArguments returns the canonical arguments without those of the call. Requests
// that differ in nothing else are of the same call, of which more is known by now.
func (t *tool) sentArguments(call event.CallID, canon []byte) []byte {
	if call == "" {
		return canon
	}
	ofCall := t.hiddenNames(func(source string) bool { return source == fromCall })
	if len(ofCall) == 0 {
		return canon
	}
	return arguments.Without(canon, ofCall)
}

// listed returns what a tool may read of its request besides the arguments, for the
// identity of the request: "" if it lists nothing.
func (q toolRequest) listed(t *tool) string {
	if len(t.Headers)+len(t.Query) == 0 {
		return ""
	}
	var parts []string
	for _, name := range t.Headers {
		parts = append(parts, q.from.header.Get(name))
	}
	for _, name := range t.Query {
		parts = append(parts, q.from.query.Get(name))
	}
	return callstate.Digest(parts...)
}

// keyArguments returns those of the canonical arguments that identify a request.
// Hidden ones do, except those of the call: the same request of two clinics is two.
func (t *tool) keyArguments(call event.CallID, canon []byte) []byte {
	if len(t.IdempotencyArgs) == 0 || len(canon) == 0 {
		return t.sentArguments(call, canon)
	}
	hidden := t.hiddenNames(func(source string) bool { return source != fromCall || call == "" })
	return arguments.Only(canon, slices.Concat(t.IdempotencyArgs, hidden))
}

func (t *tool) hiddenNames(of func(source string) bool) (names []string) {
	for _, h := range t.shape.Hidden() {
		if of(h.Source) {
			names = append(names, h.Name)
		}
	}
	return names
}

// identifying returns the canonical arguments that identify a request, by name. It
// returns nil if there is no object.
func (t *tool) identifying(canon []byte) map[string]jsontext.Value {
	return loosejson.Object(t.keyArguments("?", canon))
}
