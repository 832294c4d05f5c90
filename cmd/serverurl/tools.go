package main

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/internal/screen"
)

// toolsCommand prints the definitions of package app, which are created at Interactly.
type toolsCommand struct {
	JSON bool   `help:"As JSON: a list of bodies to post to Interactly's API, one by one."`
	URL  string `help:"The root of the server that will have the tools." default:"https://YOUR-SERVER" placeholder:"URL"`
}

func (*toolsCommand) Help() string {
	return `Examples:
  serverurl tools
  serverurl tools --json --url https://desk.example.com`
}

func (c *toolsCommand) Run(t *terminal) error {
	defs := app.New().ToolDefinitions(strings.TrimRight(c.URL, "/"))
	if c.JSON {
		return writeJSON(t, defs)
	}
	for _, d := range defs {
		fmt.Fprintf(t.out, "%-20s %s\n%-20s %s\n", d.Function.Name, d.Function.Description, "", d.Server.URL)
	}
	return nil
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
