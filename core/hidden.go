package core

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// The sources of hidden arguments (docs/tools.md#hidden-arguments).
const (
	fromQuery  = "query"
	fromHeader = "header"
	fromCall   = "call"
	fromTenant = "tenant"
)

// storeDown is the reason of a hidden argument that could not be read.
const storeDown = "store down"

// addHidden adds the hidden arguments to those that were read. Its error has a
// sentence, and wraps an [arguments.HiddenError].
func (t *tool) addHidden(q toolRequest, canon jsontext.Value, call func() Call) (jsontext.Value, error) {
	all, err := t.shape.WithHidden(canon, func(h arguments.Hidden) (jsontext.Value, string) {
		var values []string
		switch h.Source {
		case fromQuery:
			if isWrittenByModel(q.from.method) {
				return nil, "written by the model"
			}
			values = q.from.query.Values(h.Key)
		case fromHeader:
			values = q.from.header.Values(h.Key)
		case fromTenant:
			values = []string{q.from.tenant()}
		default:
			c := call()
			v := callField(c, h.Key)
			if v == nil && !h.Optional && c.Missing == missingStore {
				return nil, storeDown
			}
			return v, ""
		}
		if len(values) > 1 { // one is the operator's, and the other may be the model's
			return nil, "given twice"
		}
		return arguments.Text(strings.Join(values, "")), ""
	})
	if bad, ok := errors.AsType[*arguments.HiddenError](err); ok {
		sentence := q.say().NotConfigured
		if bad.Reason == storeDown {
			sentence = q.say().Unreachable
		}
		return nil, &SayError{Sentence: sentence, Err: err}
	}
	return all, err
}

// logHidden logs why a tool did not run, and what to do.
func (p *Processor) logHidden(t *tool, e *arguments.HiddenError) {
	switch {
	case e.Reason == storeDown:
		p.log.Warn("tool call refused: the store could not be read", "tool", t.Name, "parameter", e.Key, "reason", e.Reason)
	case e.Source == fromQuery:
		p.log.Error("a hidden argument has no value: end the tool's URL with ?PARAMETER=VALUE, once (docs/tools.md#hidden-arguments)",
			"tool", t.Name, "parameter", e.Key, "reason", e.Reason)
	case e.Source == fromHeader:
		p.log.Error("a hidden argument has no value: let the platform send this header with the tool, once (docs/tools.md#hidden-arguments)",
			"tool", t.Name, "parameter", e.Key, "reason", e.Reason)
	default:
		p.log.Error("a hidden argument has no value: it is not known of the call; send the call's id with the tool, as ?call= or X-Call-Id (docs/tools.md#which-call)",
			"tool", t.Name, "parameter", e.Key, "reason", e.Reason)
	}
}

// callField returns a field of a call, nil if it is empty: "user_number",
// "UserNumber", "metadata", or a member of an object, "metadata.clinic".
func callField(c Call, key string) jsontext.Value {
	name, member, inside := strings.Cut(key, ".")
	v, _ := fieldOfCall(name)
	switch f := reflect.ValueOf(c).FieldByIndex(v.Index).Interface().(type) {
	case jsontext.Value:
		if inside {
			f = loosejson.Object(f)[member]
		}
		if f.Kind() == 'n' || f.Kind() == '"' && loosejson.Text(f) == "" {
			return nil
		}
		return f
	default:
		return arguments.Text(fmt.Sprint(f))
	}
}

// fieldOfCall finds a field of Call, whether its name is written as in Go or with
// underscores.
func fieldOfCall(name string) (reflect.StructField, bool) {
	for f := range reflect.TypeFor[Call]().Fields() {
		if f.IsExported() && strings.EqualFold(f.Name, strings.ReplaceAll(name, "_", "")) {
			return f, true
		}
	}
	return reflect.StructField{}, false
}

// sourceName is what the name of a parameter or a header may be: it is logged.
var sourceName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]{0,63}$`)

// checkHidden returns an error if a hidden argument is from nowhere.
func (t *tool) checkHidden() error {
	for _, h := range t.shape.Hidden() {
		if err := t.checkSource(h); err != nil {
			return fmt.Errorf("the field of %q: from:%q: %w", h.Name, strings.TrimSuffix(h.Source+"="+h.Key, "="), err)
		}
	}
	for _, name := range t.Headers {
		if err := checkReadable(fromHeader, name); err != nil {
			return fmt.Errorf("the header %q: %w", name, err)
		}
	}
	for _, name := range t.Query {
		if err := checkReadable(fromQuery, name); err != nil {
			return fmt.Errorf("the query %q: %w", name, err)
		}
	}
	return nil
}

// isWrittenByModel reports whether the arguments of a request with a method are in its
// query, among what the operator put there.
func isWrittenByModel(method string) bool { return method == "GET" || method == "DELETE" }

func (t *tool) checkSource(h arguments.Hidden) error {
	name, _, inside := strings.Cut(h.Key, ".")
	f, known := fieldOfCall(name)
	isJSON := known && f.Type == reflect.TypeFor[jsontext.Value]()
	switch {
	case h.Source == fromQuery && isWrittenByModel(t.Method):
		return fmt.Errorf("in a %s the model writes the query: take it from a header", t.Method)
	case h.Source == fromQuery, h.Source == fromHeader:
		if err := checkReadable(h.Source, h.Key); err != nil {
			return err
		}
	case h.Source == fromTenant && h.Key == "":
	case h.Source == fromCall && known && (isJSON || !inside) && sourceName.MatchString(h.Key):
	case h.Source == fromCall:
		return errors.New("a call has no such field; see core.Call, or write metadata.NAME or variables.NAME")
	default:
		return errors.New("it is query=NAME, header=NAME, call=FIELD or tenant")
	}
	if !h.Single && !isJSON {
		return errors.New("it is text, and the field is a list or an object")
	}
	return nil
}

// checkReadable returns an error for a header or a parameter that a tool cannot
// read.
func checkReadable(source, name string) error {
	switch {
	case !sourceName.MatchString(name):
		return errors.New("not a name of up to 64 letters, digits, _, . and -")
	case source == fromQuery && name == callQuery, source == fromHeader && strings.EqualFold(name, callHeader):
		return errors.New("that is the call's id: write call=id")
	case source == fromHeader && credential.MatchString(name):
		return errors.New("the name is that of a credential, which no tool may read")
	}
	return nil
}

// checkHiddenTenant returns an error if a tool needs the tenant, and secrets have no
// names.
func (p *Processor) checkHiddenTenant(t *tool) error {
	for _, h := range t.shape.Hidden() {
		if h.Source == fromTenant && !h.Optional && len(p.on.Verifier.Tenants()) == 0 {
			return fmt.Errorf("core: tool %s has an argument from the tenant, and secrets have no names: name them, as in SERVERURL_SECRET=north:…", t.Name)
		}
	}
	return nil
}

// checkSecretHeaders returns an error if a tool reads a header that may carry the
// sender's secret.
func (p *Processor) checkSecretHeaders(t *tool) error {
	read := slices.Clone(t.Headers)
	for _, h := range t.shape.Hidden() {
		if h.Source == fromHeader {
			read = append(read, h.Key)
		}
	}
	for _, name := range read {
		if slices.ContainsFunc(p.on.Verifier.SecretHeaders, func(s string) bool { return strings.EqualFold(s, name) }) {
			return fmt.Errorf("core: tool %s reads the header %q, which carries the sender's secret", t.Name, name)
		}
	}
	return nil
}
