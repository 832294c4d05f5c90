package main

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/screen"
)

// toolsCommand prints the definitions of package app, which are created at Interactly.
type toolsCommand struct {
	JSON   bool     `help:"As JSON: a list of bodies to post to Interactly's API, one by one."`
	URL    string   `help:"The root of the server that will have the tools." default:"https://YOUR-SERVER" placeholder:"URL"`
	Secret string   `name:"secret-ref" help:"What stands for the secret: a reference, which you replace before you post it. Never a secret." default:"$${SERVERURL_SECRET}" placeholder:"REFERENCE"`
	Header []string `help:"A header that Interactly is to send, NAME:VALUE. A credential is a reference, such as $${TOKEN}. Repeat it." sep:"none" placeholder:"NAME:VALUE"`
	Query  []string `help:"A parameter for the tools' URLs, NAME=VALUE. Repeat it." sep:"none" placeholder:"NAME=VALUE"`
	Tenant string   `help:"Only the tools that the tenant of this name may call. Default: all." placeholder:"NAME"`
}

func (*toolsCommand) Help() string {
	return `Prints the tools of the package app. Those of another backend are printed by
three lines of Go: docs/tools.md#definition.

Examples:
  serverurl tools
  serverurl tools --json --url https://desk.example.com
  serverurl tools --json --url https://desk.example.com --header 'X-Call-Id:{{call.id}}' | envsubst '$SERVERURL_SECRET'`
}

func (c *toolsCommand) Run(t *terminal) error {
	headers, err := pairs("--header", ":", c.Header)
	if err != nil {
		return err
	}
	query, err := pairs("--query", "=", c.Query)
	if err != nil {
		return err
	}
	defs, err := app.New().ToolDefinitions(strings.TrimRight(c.URL, "/"), core.DefinitionOptions{Secret: c.Secret, Headers: headers, Query: query, Tenant: c.Tenant})
	if err != nil {
		return usageError{err}
	}
	for _, d := range defs {
		for _, w := range d.Warnings {
			fmt.Fprintf(t.err, "warning: %s: %s\n", d.Function.Name, w)
		}
	}
	if c.JSON {
		return writeJSON(t, defs)
	}
	for _, d := range defs {
		fmt.Fprintf(t.out, "%-20s %s\n%-20s %s\n", d.Function.Name, d.Function.Description, "", d.Server.URL)
	}
	return nil
}

// pairs reads the values of a flag that is repeated: names and values.
func pairs(flag, separator string, given []string) (map[string]string, error) {
	m := map[string]string{}
	for _, one := range given {
		name, value, ok := strings.Cut(one, separator)
		if name = strings.TrimSpace(name); !ok || name == "" {
			return nil, usageError{fmt.Errorf("%s takes NAME%sVALUE", flag, separator)}
		}
		m[name] = strings.TrimSpace(value)
	}
	return m, nil
}

// writeJSON writes v for other programs, indented for people. The order of keys is
// always the same, so that two outputs can be compared.
func writeJSON(t *terminal, v any) error {
	b, err := json.Marshal(v, jsontext.WithIndent("  "), json.Deterministic(true))
	if err != nil {
		return fmt.Errorf("cannot encode JSON: %w", err)
	}
	_, err = fmt.Fprintf(t.out, "%s\n", screen.JSON(b))
	return err
}
