package core_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
)

// Secrets and headers are in definitions by reference only.
func TestDefinitionOptions(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "book"}, look)
	for _, c := range []struct {
		o    core.DefinitionOptions
		want string // the end of the definition, or of the error
	}{
		{core.DefinitionOptions{Secret: "${SERVERURL_SECRET}"}, `"timeoutSeconds":20,"secret":"${SERVERURL_SECRET}"}}`},
		{core.DefinitionOptions{Secret: "{{ secrets.desk }}"}, `"secret":"{{ secrets.desk }}"}}`},
		{core.DefinitionOptions{Headers: map[string]string{"X-Call-Id": "{{call.id}}", "X-Clinic": "north"}}, `"headers":{"X-Call-Id":"{{call.id}}","X-Clinic":"north"}}}`},
		{core.DefinitionOptions{Headers: map[string]string{"Authorization": "Bearer ${TOKEN}"}}, `"headers":{"Authorization":"Bearer ${TOKEN}"}}}`},
		{core.DefinitionOptions{Query: map[string]string{"clinic": "north & co", "call": "{{call.id}}"}}, `/tools/book?call={{call.id}}\u0026clinic=north+%26+co","timeoutSeconds":20}}`},
		{core.DefinitionOptions{Secret: testSecret}, "the secret: a secret stays out"},
		{core.DefinitionOptions{Secret: "x${SERVERURL_SECRET}"}, "the secret: a secret stays out"},
		{core.DefinitionOptions{Headers: map[string]string{"authorization": testSecret}}, `header "authorization": a secret`},
		{core.DefinitionOptions{Headers: map[string]string{"X-Api-Key": testSecret}}, `header "X-Api-Key": a secret`},
		{core.DefinitionOptions{Headers: map[string]string{"X-Odd": "Bearer " + testSecret}}, `header "X-Odd": a secret`},
		{core.DefinitionOptions{Headers: map[string]string{"X Y": "z"}}, `header "X Y": not a header`},
		{core.DefinitionOptions{Headers: map[string]string{"X": "a\r\nY: b"}}, `header "X": not a header`},
		{core.DefinitionOptions{Query: map[string]string{"token": testSecret}}, `query "token": a secret`},
	} {
		ds, err := p.ToolDefinitions("https://desk.example.com", c.o)
		text := ""
		if err != nil {
			text = err.Error()
		} else {
			b, err := json.Marshal(ds[0])
			if err != nil {
				t.Fatal(err)
			}
			text = string(b)
		}
		if !strings.Contains(text, c.want) || strings.Contains(text, testSecret) || (err == nil) != strings.HasSuffix(c.want, "}") {
			t.Errorf("got  %s\nwant …%s", text, c.want)
		}
	}
}

// A tenant gets the definitions of its own tools, and of those of all.
func TestDefinitionsOfATenant(t *testing.T) {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "book"}, look)
	core.AddTool(p, core.Tool{Name: "fax", Tenants: []string{"north", "west"}}, look)
	core.AddTool(p, core.Tool{Name: "mail", Tenants: []string{"south"}}, look)
	for tenant, want := range map[string]string{"": "book fax mail", "north": "book fax", "south": "book mail", "east": "book"} {
		ds, err := p.ToolDefinitions("", core.DefinitionOptions{Tenant: tenant})
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, d := range ds {
			names = append(names, d.Function.Name)
		}
		equal(t, tenant, names, strings.Fields(want))
	}
}

// What not every model takes is said where the program starts, and with the
// definition.
func TestDefinitionWarnings(t *testing.T) {
	type odd struct {
		Day  string `json:"día"`
		List []struct {
			A string `json:"a-b"`
		} `json:"list"`
	}
	nothing := func(context.Context, odd) (string, error) { return "", nil }
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "fine", Effect: core.ReadOnly, Description: strings.Repeat("é", 999)}, look)
		core.AddTool(p, core.Tool{Name: "long", Effect: core.ReadOnly, Description: strings.Repeat("é", 1000)}, look)
		core.AddTool(p, core.Tool{Name: "odd", Effect: core.ReadOnly}, nothing)
	})
	ds, err := b.ToolDefinitions("", core.DefinitionOptions{})
	if err != nil {
		t.Fatal(err)
	}
	equal(t, "fine", ds[0].Warnings, nil)
	equal(t, "long", ds[1].Warnings, []string{"its description has 1000 characters; some models take no more than 1,024"})
	const name = ": a name has up to 64 letters of English, digits and _"
	equal(t, "odd", ds[2].Warnings, []string{`some models refuse "día"` + name, `some models refuse "list[].a-b"` + name})
	logs := b.logs.String()
	if !strings.Contains(logs, `tool=long reason="long description"`) || !strings.Contains(logs, `tool=odd reason="argument name"`) || strings.Contains(logs, "tool=fine") {
		t.Errorf("log:\n%s", logs)
	}
}

// What a hidden argument needs is said with the definition, unless it is there.
func TestDefinitionOfHiddenArguments(t *testing.T) {
	p := core.New()
	tagged[whose](p)
	for _, c := range []struct {
		o    core.DefinitionOptions
		want []string
	}{
		{core.DefinitionOptions{}, []string{"its URL needs ?clinic=VALUE, for a hidden argument", "it needs the header X-Desk, for a hidden argument"}},
		{core.DefinitionOptions{Query: map[string]string{"clinic": "north"}, Headers: map[string]string{"x-desk": "7"}}, nil},
	} {
		ds, err := p.ToolDefinitions("", c.o)
		if err != nil {
			t.Fatal(err)
		}
		equal(t, "see", ds[0].Warnings, c.want)
	}
}

// Settings that cannot be are found at the start.
func TestDefinitionPanics(t *testing.T) {
	for says, tool := range map[string]core.Tool{
		`the method "get" is none of`:          {Method: "get"},
		"StartMessage has a line break":        {StartMessage: "One\nmoment."},
		"StartMessage has a name in braces":    {StartMessage: "One {moment}."},
		`the argument "note" is optional`:      {Strict: true},
		"StartMessage has a URL":               {StartMessage: "See https://example.com."},
		"StartMessage has the character '*'":   {StartMessage: "*One moment.*"},
		"StartMessage has more than 300 chara": {StartMessage: strings.Repeat("x", 301)},
	} {
		tool.Name = "book"
		if got := panicOf(func() { core.AddTool(core.New(), tool, look) }); !strings.Contains(got, says) {
			t.Errorf("got %q, want %q", got, says)
		}
	}
}

// No secret gets into a definition, whatever it is called.
func TestDefinitionsHoldNoSecret(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) { core.AddTool(p, core.Tool{Name: "book"}, look) })
	for name, o := range map[string]core.DefinitionOptions{
		"next to a reference":  {Headers: map[string]string{"Authorization": "Bearer other-secret-0123456789${X}"}},
		"under another name":   {Headers: map[string]string{"X-Clinic": testSecret}},
		"in the query":         {Query: map[string]string{"sig": testSecret}},
		"after another scheme": {Headers: map[string]string{"X-Clinic": "Bearer other-secret-0123456789"}},
	} {
		if ds, err := b.ToolDefinitions("https://example.com", o); err == nil || strings.Contains(err.Error(), "0123456789") {
			t.Errorf("%s: %v, %v", name, ds, err)
		}
	}
	if _, err := b.ToolDefinitions("https://user:pass-0123456789@example.com", core.DefinitionOptions{}); err == nil || strings.Contains(err.Error(), "0123456789") {
		t.Errorf("in the base: %v", err)
	}
	if _, err := b.ToolDefinitions("https://example.com", core.DefinitionOptions{Headers: map[string]string{"Authorization": "Bearer ${TOKEN}"}}); err != nil {
		t.Errorf("a reference: %v", err)
	}
}
