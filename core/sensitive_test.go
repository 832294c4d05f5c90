package core_test

import (
	"context"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core"
)

func TestPrivateDoesNotPrint(t *testing.T) {
	const text = "Sam Rivera"
	type patient struct {
		Name  core.Sensitive   `json:"name"`
		Maybe *core.Sensitive  `json:"maybe"`
		All   []core.Sensitive `json:"all"`
	}
	p := core.Sensitive(text)
	in := patient{p, &p, []core.Sensitive{p}}
	var logs strings.Builder
	slog.New(slog.NewTextHandler(&logs, nil)).Info("x", "a", p, "b", in, "c", &p)
	slog.New(slog.NewJSONHandler(&logs, nil)).Info("x", "a", p, "b", in, "c", &p)
	printed := logs.String()
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%10s", "%d"} {
		printed += fmt.Sprintf(verb+verb, p, in)
	}
	printed += fmt.Sprint(p, in, fmt.Errorf("no slot for %s: %w", p, errors.New("full")))
	for _, marshal := range []func(any) ([]byte, error){stdjson.Marshal, func(v any) ([]byte, error) { return json.Marshal(v) }} {
		b, err := marshal(in)
		if err != nil {
			t.Fatal(err)
		}
		printed += string(b)
	}
	if strings.Contains(printed, "Rivera") || strings.Contains(printed, fmt.Sprintf("%x", "Rivera")) {
		t.Errorf("it prints: %s", printed)
	}
	if p.Reveal() != text {
		t.Error("it cannot be read")
	}
}

func ExampleSensitive() {
	type booking struct {
		Patient core.Sensitive `json:"patient"`
	}
	p := core.New()
	core.AddTool(p, core.Tool{Name: "book"}, func(_ context.Context, b booking) (string, error) {
		fmt.Println("booking for", b.Patient) // for the log
		return "Booked for " + b.Patient.Reveal() + ".", nil
	})
	fmt.Println(core.Sensitive("Sam Rivera"))
	// Output: ***
}

// A tool takes it as a string.
func TestPrivateArgument(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "greet", Effect: core.ReadOnly}, func(_ context.Context, in struct {
			Name core.Sensitive `json:"name"`
		}) (string, error) {
			return "Hello " + in.Name.Reveal() + ".", nil
		})
	})
	if got := b.call("/tools/greet", `{"name":"Sam Rivera"}`); got != "Hello Sam Rivera." {
		t.Error(got)
	}
	if got := b.call("/tools/greet", `{"name":[7]}`); strings.Contains(got, "7") || !strings.Contains(got, "name") {
		t.Error(got)
	}
}
