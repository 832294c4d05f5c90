package core_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/serverurl/serverurl/core"
)

// newClinic is a backend of one's own.
func newClinic() *core.Processor {
	p := core.New()
	core.AddTool(p, core.Tool{Name: "opening_hours", Description: "When the clinic is open.", Effect: core.ReadOnly},
		func(ctx context.Context, in struct {
			Clinic string `from:"query=clinic"`
			Desk   string `from:"header=X-Desk"`
		}) (string, error) {
			return "We are open from nine to five.", nil
		})
	return p
}

// A program prints the definitions of the backend's own tools, as JSON that can be
// posted, and on the standard error what each still needs.
func ExampleProcessor_ToolDefinitions() {
	defs, err := newClinic().ToolDefinitions("https://desk.example.com", core.DefinitionOptions{
		Secret: "${SERVERURL_SECRET}",
		Query:  map[string]string{"clinic": "north"},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, d := range defs {
		for _, w := range d.Warnings {
			fmt.Fprintf(os.Stderr, "warning: %s: %s\n", d.Function.Name, w)
		}
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(defs); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	// Output:
	// [
	//   {
	//     "type": "function",
	//     "async": false,
	//     "function": {
	//       "name": "opening_hours",
	//       "description": "When the clinic is open.",
	//       "parameters": {
	//         "type": "object",
	//         "properties": {}
	//       },
	//       "strict": false
	//     },
	//     "server": {
	//       "url": "https://desk.example.com/tools/opening_hours?clinic=north",
	//       "timeoutSeconds": 20,
	//       "secret": "${SERVERURL_SECRET}"
	//     }
	//   }
	// ]
}
