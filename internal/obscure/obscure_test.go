package obscure_test

import (
	"strings"
	"testing"

	"github.com/serverurl/serverurl/internal/obscure"
	"github.com/serverurl/serverurl/internal/testing/importcheck"
)

func TestImports(t *testing.T) {
	importcheck.CheckOnly(t, "hiding text needs JSON and nothing else", "github.com/go-json-experiment/json/...")
}

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"I am Sam.":                  "• •• •••.",
		"Wolfeschlegelsteinhausen":   "••••••••",
		"+1 (415) 555-0142":          "+• (•••) •••-••••",
		"Grüße, Zoë\u0301!":          "•••••, ••••!",
		"sam@example.com":            "•••••••••••.•••",
		"two\nlines, and – a dash's": "•••\n•••••, ••• – • ••••'•",
	} {
		if got := obscure.Text(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestJSON(t *testing.T) {
	for _, c := range []struct {
		name, in  string
		allValues bool
		want      string
	}{
		{"known keys are shown", `{"type":"hang","id":"CA1"}`, false, `{"type":"hang","id":"CA1"}`},
		{"other text is hidden", `{"text":"Sam","note":["Sam"]}`, false, `{"text":"•••","note":["•••"]}`},
		{"other numbers are shown", `{"took":12,"on":true,"none":null}`, false, `{"took":12,"on":true,"none":null}`},
		{"everything below a personal key is hidden", `{"metadata":{"age":41,"adult":true,"type":"vip","list":[1]}}`, false, `{"metadata":{"age":"•","adult":"•","type":"•••","list":["•"]}}`},
		{"a personal key's own value is hidden", `{"result":3,"after":3}`, false, `{"result":"•","after":3}`},
		{"all values of arguments are hidden", `{"date":"2035-07-16","n":2,"type":"vip"}`, true, `{"date":"••••-••-••","n":"•","type":"•••"}`},
		{"text that is not JSON is hidden", `{"name": Sam`, false, `{"••••": •••`},
		{"two values are shown as two", `{"a":"b"} 1`, true, `{"a":"•"}"•"`},
		{"nothing", "  ", true, ""},
	} {
		if got := strings.NewReplacer("\n", "", "  ", "", "\": ", "\":").Replace(obscure.JSON([]byte(c.in), c.allValues)); got != strings.ReplaceAll(c.want, "\": ", "\":") {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

func TestIndent(t *testing.T) {
	if got, want := obscure.Indent([]byte(`{"metadata":{"age":41},"text":"Sam"}`)), "{\n  \"metadata\": {\n    \"age\": 41\n  },\n  \"text\": \"Sam\"\n}"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := obscure.Indent([]byte(`not JSON`)); got != "not JSON" {
		t.Errorf("what is not JSON: %q", got)
	}
}
