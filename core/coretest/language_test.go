package coretest_test

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"

	"github.com/serverurl/serverurl/app"
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
	"github.com/serverurl/serverurl/core/coretest"
)

// The suite's requests for a call in another language: what was one of our own
// sentences begins in that language.
func TestAdapterInAnotherLanguage(t *testing.T) {
	var marked core.Sentences
	mark(reflect.ValueOf(&marked).Elem())
	var english []string
	texts(reflect.ValueOf(core.English()), &english)
	files, err := filepath.Glob("testdata/adapter/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	p := app.New()
	p.AddSentences("xx", marked)
	p.SpeakLanguage(func(context.Context) string { return "xx" })
	if err := p.Bind(core.Platform{
		Name: "test", Store: coretest.NewMemoryStore(), Inbox: discard{}, Logger: slog.New(slog.DiscardHandler),
		Verifier: auth.Verifier{Secrets: []auth.Secret{auth.NewSecret(secret)}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		a := txtar.Parse(data)
		for i := 0; i+1 < len(a.Files); i += 2 {
			got := p.Handle(t.Context(), parse(string(a.Files[i].Data)))
			for _, sentence := range english {
				if !strings.Contains(string(a.Files[i+1].Data), sentence) {
					continue
				}
				count++
				if strings.Contains(string(got.Body), sentence) || !strings.Contains(string(got.Body), `"result":"XX `) {
					t.Errorf("%s, step %d: %s has %q", file, i/2+1, got.Body, sentence)
				}
			}
		}
	}
	if count < 20 {
		t.Errorf("only %d sentences were compared", count)
	}
}

// parse reads a request of the suite.
func parse(s string) core.Request {
	head, body, _ := strings.Cut(strings.ReplaceAll(s, "{{secret}}", secret), "\n\n")
	lines := strings.Split(head, "\n")
	method, target, _ := strings.Cut(lines[0], " ")
	path, query, _ := strings.Cut(target, "?")
	r := core.Request{Method: method, Path: path, Query: query, Header: auth.Header{}, Body: []byte(strings.TrimSuffix(body, "\n"))}
	for _, line := range lines[1:] {
		name, value, _ := strings.Cut(line, ": ")
		r.Header[name] = append(r.Header[name], value)
	}
	return r
}

var inBraces = regexp.MustCompile(`{[a-z]+}`)

// mark makes each sentence the text "XX" with the names that it needs.
func mark(s reflect.Value) {
	for i := range s.NumField() {
		if f := s.Field(i); f.Kind() == reflect.Struct {
			mark(f)
		} else {
			f.SetString("XX")
			for _, name := range strings.Fields(s.Type().Field(i).Tag.Get("needs")) {
				f.SetString(f.String() + " {" + name + "}")
			}
			f.SetString(f.String() + " .")
		}
	}
}

// texts adds the parts of sentences that are certainly ours.
func texts(s reflect.Value, to *[]string) {
	for i := range s.NumField() {
		if f := s.Field(i); f.Kind() == reflect.Struct {
			texts(f, to)
		} else {
			for _, piece := range inBraces.Split(f.String(), -1) {
				if len(piece) >= len("Done.") && piece[0] != ' ' && strings.ToUpper(piece[:1]) == piece[:1] {
					quoted, _ := json.Marshal(piece)
					*to = append(*to, strings.Trim(string(quoted), `"`))
				}
			}
		}
	}
}
