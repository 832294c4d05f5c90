package core_test

import (
	"context"
	"strings"
	"testing"

	"github.com/serverurl/serverurl/core"
)

// A from tag that is wrong panics at the start, and says what is right.
func TestHiddenTags(t *testing.T) {
	add := func(add func(p *core.Processor)) string { return panicOf(func() { add(core.New()) }) }
	type nested struct {
		In struct {
			Clinic string `from:"query=clinic"`
		} `json:"in"`
	}
	for says, f := range map[string]func(p *core.Processor){
		"it is query=NAME, header=NAME, call=FIELD or tenant": func(p *core.Processor) {
			tagged[struct {
				A string `from:"cookie=a"`
			}](p)
		},
		"from tag is empty": func(p *core.Processor) {
			tagged[struct {
				A string `from:""`
			}](p)
		},
		`from:"query"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"query"`
			}](p)
		},
		"not a name of up to 64": func(p *core.Processor) {
			tagged[struct {
				A string `from:"query=a b"`
			}](p)
		},
		`from:"tenant=x"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"tenant=x"`
			}](p)
		},
		"a call has no such field": func(p *core.Processor) {
			tagged[struct {
				A string `from:"call=phone"`
			}](p)
		},
		`from:"call=from"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"call=from"`
			}](p)
		},
		`from:"call=status.x"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"call=status.x"`
			}](p)
		},
		"that is the call's id: write call=id": func(p *core.Processor) {
			tagged[struct {
				A string `from:"query=call"`
			}](p)
		},
		`from:"header=x-call-id"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"header=x-call-id"`
			}](p)
		},
		"that of a credential": func(p *core.Processor) {
			tagged[struct {
				A string `from:"header=X-Interactly-Secret"`
			}](p)
		},
		`from:"header=Authorization"`: func(p *core.Processor) {
			tagged[struct {
				A string `from:"header=Authorization"`
			}](p)
		},
		"the field is a list or an object": func(p *core.Processor) {
			tagged[struct {
				A []string `from:"query=a"`
			}](p)
		},
		"only fields of the arguments themselves": func(p *core.Processor) { tagged[nested](p) },
		"cannot be filled": func(p *core.Processor) {
			tagged[struct {
				A string `json:"-" from:"query=a"`
			}](p)
		},
		`two fields are named "B"`: func(p *core.Processor) {
			tagged[struct {
				A string `json:"B" from:"query=a"`
				B string
			}](p)
		},
		"decodes itself": func(p *core.Processor) { tagged[selfMade](p) },
		`in a GET the model writes the query: take it from a header`: func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "see", Method: "GET"}, func(context.Context, struct {
				A string `from:"query=a"`
			}) (string, error) {
				return "", nil
			})
		},
		`the header "Cookie": the name is that of a credential`: func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "see", Headers: []string{"Cookie"}}, look)
		},
		`the query "a b": not a name`: func(p *core.Processor) {
			core.AddTool(p, core.Tool{Name: "see", Query: []string{"a b"}}, look)
		},
	} {
		if got := add(f); !strings.Contains(got, says) {
			t.Errorf("got %q, want %q", got, says)
		}
	}
}

type selfMade struct {
	A string `from:"query=a"`
}

func (*selfMade) UnmarshalJSON([]byte) error { return nil }

func tagged[In any](p *core.Processor) {
	core.AddTool(p, core.Tool{Name: "see"}, func(context.Context, In) (string, error) { return "", nil })
}

// The model is not shown what is hidden.
func TestHiddenArgumentsAreNotInTheSchema(t *testing.T) {
	p := core.New()
	tagged[whose](p)
	ds, err := p.ToolDefinitions("", core.DefinitionOptions{})
	const want = `{"type":"object","properties":{"day":{"type":"string"},"note":{"type":"string"}},"required":["day"]}`
	if err != nil || string(ds[0].Function.Parameters) != want {
		t.Errorf("%s, %v", ds[0].Function.Parameters, err)
	}
}
