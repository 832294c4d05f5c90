package core

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/arguments"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A ToolDefinition is a tool in the form of Interactly's API: the body of the
// request that creates it there (docs/tools.md#definition).
type ToolDefinition struct {
	Type     string `json:"type"` // "function"
	Async    bool   `json:"async"`
	Function struct {
		Name        string         `json:"name"`
		Description string         `json:"description"`
		Parameters  jsontext.Value `json:"parameters"` // JSON Schema of an object
		Strict      bool           `json:"strict"`
	} `json:"function"`
	Messages []ToolMessage `json:"messages,omitempty"`
	Server   ToolServer    `json:"server"`

	// Warnings say what not every model or platform takes, for the operator.
	Warnings []string `json:"-"`
}

// A ToolMessage is what the assistant says about a tool.
type ToolMessage struct {
	Type    string `json:"type"` // "request-start"
	Content string `json:"content"`
}

// A ToolServer is where and how the platform reaches a tool.
type ToolServer struct {
	URL            string            `json:"url"`
	Method         string            `json:"method,omitempty"` // "GET"; "" is the platform's default
	TimeoutSeconds int               `json:"timeoutSeconds"`
	Secret         string            `json:"secret,omitempty"` // a reference, never the secret
	Headers        map[string]string `json:"headers,omitempty"`
}

// DefinitionOptions are what the platform is to send along with the requests to all
// tools. A reference is the name of a value that somebody else puts in its place:
// ${NAME} before the definition is posted, {{name}} at the platform.
type DefinitionOptions struct {
	Secret  string            // a reference: "${SERVERURL_SECRET}". Default: none
	Headers map[string]string // credentials in them are references: "Bearer ${TOKEN}"
	Query   map[string]string // parameters of the URLs: "clinic": "north"

	// Tenant is the name of a secret: only the tools that its sender may call are
	// defined. Default: all tools.
	Tenant string
}

// ToolDefinitions returns the definitions of the tools in the order in which they
// were added, with URLs below base ("https://example.com"). They contain no
// secrets: it returns an error if an option is one, and no reference.
func (p *Processor) ToolDefinitions(base string, o DefinitionOptions) ([]ToolDefinition, error) {
	query, err := o.check()
	if err != nil {
		return nil, err
	}
	if u, err := url.Parse(base); err != nil || u.User != nil {
		return nil, errBase
	}
	ds := make([]ToolDefinition, 0, len(p.order))
	for _, name := range p.order {
		t := p.tools[name]
		if o.Tenant != "" && !serves(t.Tenants, o.Tenant) {
			continue
		}
		d := ToolDefinition{Type: "function", Async: t.Async}
		d.Function.Name = t.Name
		d.Function.Description = t.Description
		d.Function.Parameters = t.shape.Schema(t.Strict)
		d.Function.Strict = t.Strict
		if t.StartMessage != "" {
			d.Messages = []ToolMessage{{"request-start", t.StartMessage}}
		}
		d.Server = ToolServer{URL: base + "/tools/" + t.Name + query, Method: t.Method, Secret: o.Secret, Headers: o.Headers}
		// 20 s is Interactly's default. The tool answers well before it.
		d.Server.TimeoutSeconds = max(20, int(t.Budget/time.Second)+5)
		for _, w := range t.warnings() {
			d.Warnings = append(d.Warnings, w.text)
		}
		d.Warnings = append(d.Warnings, t.missingFrom(o)...)
		if err := p.checkSecrets(d); err != nil {
			return nil, err
		}
		ds = append(ds, d)
	}
	return slices.Clip(ds), nil
}

var (
	// reference is the name of a value that is put in its place elsewhere.
	reference = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*\}|\{\{ *[A-Za-z_][A-Za-z0-9_.-]* *\}\}`)

	// credential is a name whose value is a secret.
	credential = regexp.MustCompile(`(?i)secret|token|auth|key|password|credential|cookie|signature`)

	// scheme begins the value of a credential.
	scheme = regexp.MustCompile(`(?i)^(bearer|basic) `)

	headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")
)

var (
	errNoReference = errors.New("a secret stays out of definitions: write a reference, such as ${NAME} or {{name}}")
	errHeader      = errors.New("not a header")
	errBase        = errors.New("core: the base of the tools' URLs is a URL without a user, such as https://example.com")
)

// check returns the query of the URLs, or an error that names the option and not its
// value.
func (o DefinitionOptions) check() (query string, err error) {
	if o.Secret != "" && reference.ReplaceAllString(o.Secret, "") != "" {
		return "", fmt.Errorf("core: the secret: %w", errNoReference)
	}
	for _, name := range slices.Sorted(maps.Keys(o.Headers)) {
		switch value := o.Headers[name]; {
		case !headerName.MatchString(name), strings.ContainsAny(value, "\r\n"):
			return "", fmt.Errorf("core: header %q: %w", name, errHeader)
		case isExposed(name, value):
			return "", fmt.Errorf("core: header %q: %w", name, errNoReference)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(o.Query)) {
		if isExposed(name, o.Query[name]) {
			return "", fmt.Errorf("core: query %q: %w", name, errNoReference)
		}
		query += "&" + url.QueryEscape(name) + "=" + escaped(o.Query[name])
	}
	return strings.Replace(query, "&", "?", 1), nil
}

// isExposed reports whether a value is that of a credential, and not only a reference
// to it.
func isExposed(name, value string) bool {
	if !credential.MatchString(name) && !scheme.MatchString(value) {
		return false
	}
	return strings.TrimSpace(reference.ReplaceAllString(scheme.ReplaceAllString(value, ""), "")) != ""
}

// checkSecrets returns an error if a secret of the backend is in a definition.
func (p *Processor) checkSecrets(d ToolDefinition) error {
	for _, text := range slices.Concat([]string{d.Server.URL, d.Server.Secret}, slices.Collect(maps.Values(d.Server.Headers))) {
		if quoted := loosejson.Quoted(text); !bytes.Equal(p.on.Verifier.Redact(nil, quoted), quoted) {
			return fmt.Errorf("core: tool %s: %w", d.Function.Name, errNoReference)
		}
	}
	return nil
}

// escaped escapes a value for a query, except the references in it.
func escaped(value string) string {
	var b strings.Builder
	at := 0
	for _, r := range reference.FindAllStringIndex(value, -1) {
		b.WriteString(url.QueryEscape(value[at:r[0]]))
		b.WriteString(value[r[0]:r[1]])
		at = r[1]
	}
	b.WriteString(url.QueryEscape(value[at:]))
	return b.String()
}

// checkDefinition returns an error if the platform's settings cannot be.
func (t *Tool) checkDefinition(shape *arguments.Shape) error {
	if t.Method != "" && !slices.Contains(strings.Split(toolMethods, ", "), t.Method) {
		return fmt.Errorf("the method %q is none of %s", t.Method, toolMethods)
	}
	if t.StartMessage != "" {
		if err := checkSentence(reference.ReplaceAllString(t.StartMessage, "x"), nil); err != nil {
			return fmt.Errorf("StartMessage %w", err)
		}
	}
	if err := shape.Strict(); t.Strict && err != nil {
		return fmt.Errorf("it is Strict, and %w", err)
	}
	return nil
}

// missingFrom says what the platform does not send for the hidden arguments.
func (t *tool) missingFrom(o DefinitionOptions) (warnings []string) {
	for _, h := range t.shape.Hidden() {
		hasHeader := func(name string) bool { return strings.EqualFold(name, h.Key) }
		switch {
		case h.Optional:
		case h.Source == fromQuery && o.Query[h.Key] == "":
			warnings = append(warnings, fmt.Sprintf("its URL needs ?%s=VALUE, for a hidden argument", h.Key))
		case h.Source == fromHeader && !slices.ContainsFunc(slices.Collect(maps.Keys(o.Headers)), hasHeader):
			warnings = append(warnings, fmt.Sprintf("it needs the header %s, for a hidden argument", h.Key))
		}
	}
	return warnings
}

// maxDescription is where descriptions become too long for some models: OpenAI
// takes 1,024 characters.
const maxDescription = 1000

// argumentName is what every model takes for the name of an argument.
var argumentName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// A warning is about a definition that not every model takes.
type warning struct {
	reason string // for the log
	text   string // for the operator
}

func (t *tool) warnings() (ws []warning) {
	if n := utf8.RuneCountInString(t.Description); n >= maxDescription {
		ws = append(ws, warning{"long description", fmt.Sprintf("its description has %d characters; some models take no more than 1,024", n)})
	}
	t.shape.Each(func(path, name, description string) {
		if n := utf8.RuneCountInString(description); n >= maxDescription {
			ws = append(ws, warning{"long argument description", fmt.Sprintf("the description of %q has %d characters; some models take no more than 1,024", path, n)})
		}
		if name != "" && !argumentName.MatchString(name) {
			ws = append(ws, warning{"argument name", fmt.Sprintf("some models refuse %q: a name has up to 64 letters of English, digits and _", path)})
		}
	})
	return ws
}
