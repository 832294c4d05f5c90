package core_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/auth"
)

// marked returns sentences that are their own names: "XX Failed". Those with names
// in braces have them behind.
func marked() (s core.Sentences) {
	mark(reflect.ValueOf(&s).Elem())
	return s
}

func mark(s reflect.Value) {
	for i := range s.NumField() {
		f := s.Type().Field(i)
		if f.Type.Kind() == reflect.Struct {
			mark(s.Field(i))
			continue
		}
		text := "XX " + f.Name + "."
		for _, name := range strings.Fields(f.Tag.Get("needs")) {
			text += " {" + name + "}"
		}
		s.Field(i).SetString(text)
	}
}

// everyKind has an argument for each of the words about arguments.
type everyKind struct {
	Text    string         `json:"text,omitzero"`
	Choice  string         `json:"choice,omitzero" enum:"a|b"`
	Zip     string         `json:"zip,omitzero" pattern:"^[0-9]{5}$" examples:"94110"`
	Mail    string         `json:"mail,omitzero" format:"email"`
	UUID    string         `json:"uuid,omitzero" format:"uuid"`
	Day     time.Time      `json:"day,omitzero" format:"date"`
	At      time.Time      `json:"at,omitzero"`
	Length  time.Duration  `json:"length,omitzero"`
	Bytes   []byte         `json:"bytes,omitempty"`
	N       int            `json:"n,omitzero"`
	Between int            `json:"between,omitzero" minimum:"1" maximum:"4"`
	Least   int            `json:"least,omitzero" minimum:"1"`
	Most    int            `json:"most,omitzero" maximum:"4"`
	F       float64        `json:"f,omitzero"`
	Big     big.Int        `json:"big,omitzero"`
	Flag    bool           `json:"flag,omitzero"`
	List    []int          `json:"list,omitempty"`
	Pair    [2]int         `json:"pair,omitzero"`
	Map     map[string]any `json:"map,omitempty"`
	Any     any            `json:"any,omitzero"`
	Addr    netip.Addr     `json:"addr,omitzero"`
	Odd     odd            `json:"odd,omitzero"`
	Need    *struct {
		A int `json:"a"`
	} `json:"need"`
}

type odd struct{}

func (odd) UnmarshalJSON([]byte) error { return errors.New("odd") }

// argumentRefusals are bodies of tool "kinds" that are refused, by the words that
// say so.
var argumentRefusals = map[string]string{
	"Missing": `{"need":{}}`, "Wrong": `{"n":"x"}`, "TooDeep": `"{\"any\":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}"`,
	"LongNumber": `{"any":12345678901234567890}`, "OneOf": `{"choice":"c"}`, "SuchAs": `{"zip":"x"}`, "Matching": `{"zip":"x"}`,
	"Between": `{"between":9}`, "AtLeast": `{"least":0}`, "AtMost": `{"most":9}`,
	"NumberBetween": `{"between":"x"}`, "NumberAtLeast": `{"least":"x"}`, "NumberAtMost": `{"most":"x"}`,
	"NotSoLarge": `{"f":1e999}`, "NotSoLow": `{"f":-1e999}`, "NotSoSmall": `{"f":1e-999}`,
	"FewerZeros": `{"big":"` + strings.Repeat("0", 500) + `1"}`, "FewerDigits": `{"f":12345678901234567891}`,
	"Text": `{"text":[]}`, "Date": `{"day":"x"}`, "DateTime": `{"at":"x"}`, "Duration": `{"length":"x"}`, "Email": `{"mail":"x"}`, "UUID": `{"uuid":"x"}`,
	"Base64": `{"bytes":"?"}`, "WholeNumber": `{"n":"x"}`, "Number": `{"f":"x"}`, "Boolean": `{"flag":"x"}`, "List": `{"list":3}`, "ListOf": `{"pair":[1]}`,
	"Object": `{"map":3}`, "DescribedText": `{"addr":"x"}`, "Described": `{"odd":{}}`,
}

// addRefusers adds tools that are answered with each of the other sentences.
func addRefusers(p *core.Processor) {
	type n struct {
		N int `json:"n,omitzero"`
	}
	broken := errors.New("broken")
	slow := func(ctx context.Context, _ n) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	fails := func(context.Context, n) (string, error) { return "", broken }
	empty := func(context.Context, n) (string, error) { return "", nil }
	for name, add := range map[string]func(core.Tool){
		"look-fails": func(t core.Tool) { t.Effect = core.ReadOnly; core.AddTool(p, t, fails) },
		"look-slow":  func(t core.Tool) { t.Effect = core.ReadOnly; core.AddTool(p, t, slow) },
		"look":       func(t core.Tool) { t.Effect = core.ReadOnly; core.AddTool(p, t, empty) },
		"kinds": func(t core.Tool) {
			t.Effect = core.ReadOnly
			core.AddTool(p, t, func(context.Context, everyKind) (string, error) { return "", nil })
		},
		"slow":        func(t core.Tool) { core.AddTool(p, t, slow) },
		"fails":       func(t core.Tool) { core.AddTool(p, t, fails) },
		"again-fails": func(t core.Tool) { t.Effect = core.Idempotent; core.AddTool(p, t, fails) },
		"book":        func(t core.Tool) { core.AddTool(p, t, empty) },
		"hidden": func(t core.Tool) {
			core.AddTool(p, t, func(context.Context, struct {
				Clinic string `from:"query=clinic"`
			}) (string, error) {
				return "", nil
			})
		},
	} {
		add(core.Tool{Name: name})
	}
}

// refusals plays what is refused, and returns the results, by the sentence.
func refusals(t *testing.T, setup func(*core.Processor)) map[string]string {
	b := newBackend(t, func(p *core.Processor) { addRefusers(p); setup(p) })
	frozen := newBackend(t, func(p *core.Processor) { addRefusers(p); setup(p) }, func(on *core.Platform) { on.BackgroundGrace = 0 })
	down := newBackend(t, func(p *core.Processor) { addRefusers(p); setup(p) })
	down.store.Fail = func(string, []string) error { return errors.New("down") }
	envelope := func(calls ...string) string {
		return said(t, b.Handle(t.Context(), toolCalls("CA9", calls...)))
	}
	two := request("POST", "/tools/book?call=CA1", "{}")
	two.Header["X-Call-Id"] = []string{"CA2"}

	got := map[string]string{"Done": b.call("/tools/book?call=CA3", `{"n":1}`)}
	b.call("/tools/book?call=CA3", `{"n":2}`)
	got["DoneBefore"] = b.call("/tools/book?call=CA3", `{"n":1}`)
	for name, text := range map[string]string{
		"Failed":        b.call("/tools/look-fails", "{}"),
		"Working":       b.call("/tools/slow", "{}"),
		"TooSlow":       frozen.call("/tools/look-slow", "{}"),
		"Uncertain":     b.call("/tools/fails", "{}"),
		"SafeAgain":     b.call("/tools/again-fails", "{}"),
		"Unreachable":   down.call("/tools/book", "{}"),
		"NotConfigured": b.call("/tools/hidden", "{}"),
		"NoTool":        b.call("/tools/none", "{}"),
		"TwoCalls":      said(t, b.Handle(t.Context(), two)),
		"Unreadable":    b.call("/tools/book", "7"),
		"Wrapped":       b.call("/tools/book", `{"args":{"n":1}}`),
		"NoCall":        envelope(),
		"Nothing":       b.call("/tools/look", "{}"),
	} {
		got[name] = text
	}
	got["NotStarted"] = strings.TrimPrefix(envelope(toolCall("1", "slow", `{"n":3}`), toolCall("2", "slow", `{"n":4}`)), got["Working"]+" ")
	many := envelope(strings.Split(strings.Repeat(toolCall("x", "look", "{}")+"\n", 33), "\n")[:33]...)
	got["TooMany"] = strings.TrimSpace(strings.ReplaceAll(many, got["Nothing"], ""))
	b.event(report(0))
	b.deliver()
	time.Sleep(2 * time.Minute)
	got["CallOver"] = b.call("/tools/book?call="+callID, "{}")
	for name, body := range argumentRefusals {
		got[name] = b.call("/tools/kinds", body)
	}
	for _, b := range []*backend{b, frozen, down} {
		if err := b.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return got
}

// fields returns the names of all sentences, with their texts.
func fields(s reflect.Value) map[string]string {
	all := map[string]string{}
	for i := range s.NumField() {
		if f := s.Field(i); f.Kind() == reflect.Struct {
			for name, text := range fields(f) {
				all[name] = text
			}
		} else {
			all[s.Type().Field(i).Name] = f.String()
		}
	}
	return all
}

// Each of our sentences is one of Sentences, and is replaced by the language of
// the call or the tool.
func TestEverySentenceIsReplaced(t *testing.T) {
	for name, setup := range map[string]func(*core.Processor){
		"of the call": func(p *core.Processor) { p.SpeakLanguage(func(context.Context) string { return "xx-YY" }) },
		"of a region": func(p *core.Processor) {
			p.AddSentences("xx-yy", core.Sentences{})
			p.SpeakLanguage(func(context.Context) string { return "XX_yy_zz" })
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				got := refusals(t, func(p *core.Processor) { p.AddSentences("xx", marked()); setup(p) })
				for field := range fields(reflect.ValueOf(core.Sentences{})) {
					if s := got[field]; !strings.HasPrefix(s, "XX ") || !strings.Contains(s, "XX "+field+".") {
						t.Errorf("%s: said %q", field, s)
					}
				}
			})
		})
	}
}

var inBraces = regexp.MustCompile(`{[a-z]+}`)

// What is said in the two languages that are built in.
func TestBuiltInSentences(t *testing.T) {
	for language, s := range map[string]core.Sentences{"en": core.English(), "es": core.Spanish()} {
		core.New().AddSentences(language, s) // it checks them
		synctest.Test(t, func(t *testing.T) {
			got := refusals(t, func(p *core.Processor) { p.SpeakLanguage(func(context.Context) string { return language }) })
			all := fields(reflect.ValueOf(s))
			for field, text := range all {
				for _, piece := range inBraces.Split(text, -1) {
					if text == "" || !strings.Contains(got[field], piece) {
						t.Errorf("%s %s: said %q, want it to have %q", language, field, got[field], piece)
					}
				}
			}
		})
	}
	for field, spanish := range fields(reflect.ValueOf(core.Spanish())) {
		if english := fields(reflect.ValueOf(core.English()))[field]; english == spanish {
			t.Errorf("%s is English in Spanish: %q", field, spanish)
		}
	}
}

// A tool's own language counts more than the call's, and whatever becomes of the
// function that chooses, the caller hears a sentence.
func TestLanguageIsChosen(t *testing.T) {
	const english, spanish = "There is nothing to report.", "No hay nada de que informar."
	for _, c := range []struct {
		name  string
		tool  string
		speak func(context.Context) string
		want  string
		log   string
	}{
		{"nothing", "", nil, english, ""},
		{"the tool's", "es", nil, spanish, ""},
		{"the tool's, not the call's", "es-MX", func(context.Context) string { return "en" }, spanish, ""},
		{"the call's", "", func(context.Context) string { return "es" }, spanish, ""},
		{"of a region", "", func(context.Context) string { return "es-419" }, spanish, ""},
		{"unknown", "", func(context.Context) string { return "canary" }, english, "AddSentences"},
		{"none", "", func(context.Context) string { return "" }, english, ""},
		{"a panic", "", func(context.Context) string { panic("canary") }, english, "handler panicked"},
		{"late", "", func(ctx context.Context) string { <-ctx.Done(); time.Sleep(time.Second); return "es" }, english, "reason=late"},
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBackend(t, func(p *core.Processor) {
				core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly, Language: c.tool}, func(context.Context, struct{}) (string, error) { return "", nil })
				if c.speak != nil {
					p.SpeakLanguage(c.speak)
				}
			})
			if got := b.call("/tools/look", "{}"); got != c.want {
				t.Errorf("%s: said %q, want %q", c.name, got, c.want)
			}
			if logs := b.logs.String(); !strings.Contains(logs, c.log) || strings.Contains(logs, "canary") {
				t.Errorf("%s: log:\n%s", c.name, logs)
			}
			if err := b.Drain(t.Context()); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// What was answered once is repeated byte for byte, whatever language is chosen by
// then.
func TestDuplicatesKeepTheirLanguage(t *testing.T) {
	var language atomic.Value
	language.Store("es")
	b := newBackend(t, func(p *core.Processor) {
		core.AddTool(p, core.Tool{Name: "book"}, func(context.Context, struct{}) (string, error) { return "", nil })
		p.SpeakLanguage(func(context.Context) string { return language.Load().(string) })
	})
	for range 2 {
		if got := b.call("/tools/book?call=CA1", "{}"); got != "Hecho." {
			t.Errorf("said %q", got)
		}
		language.Store("en")
	}
}

// A sentence that cannot be spoken is refused at the start, by its name.
func TestBadSentences(t *testing.T) {
	for _, c := range []struct {
		s    core.Sentences
		says string
	}{
		{core.Sentences{Failed: "One.\nTwo."}, "Failed has a line break"},
		{core.Sentences{Done: " "}, "Done begins or ends with white space"},
		{core.Sentences{Done: "**Done.**"}, "Done has the character '*'"},
		{core.Sentences{Done: "Done \U0001F600"}, "Done has the character"},
		{core.Sentences{Done: "Done\u0000."}, "Done has the character"},
		{core.Sentences{Done: "Done\xff."}, "Done has the character"},
		{core.Sentences{Done: "See https://example.com."}, "Done has a URL"},
		{core.Sentences{Done: "See www.example.com."}, "Done has a URL"},
		{core.Sentences{Done: strings.Repeat("x", 301)}, "Done has more than 300 characters"},
		{core.Sentences{Done: "Done {n}."}, "Done has a name in braces"},
		{core.Sentences{Arguments: core.ArgumentSentences{Missing: "Missing."}}, "Missing needs {argument} once"},
		{core.Sentences{Arguments: core.ArgumentSentences{Wrong: "{argument} {what} {what}"}}, "Wrong needs {what} once"},
		{core.Sentences{Arguments: core.ArgumentSentences{Text: "text\u2028"}}, "Text begins or ends"},
	} {
		if got := panicOf(func() { core.New().AddSentences("fr", c.s) }); !strings.Contains(got, c.says) || !strings.Contains(got, `AddSentences("fr")`) {
			t.Errorf("%+q: %q", c.says, got)
		}
	}
	for _, language := range []string{"", "f", "fr/ca", "français"} {
		if got := panicOf(func() { core.New().AddSentences(language, core.Sentences{}) }); !strings.Contains(got, "not a language") {
			t.Errorf("%q: %q", language, got)
		}
	}
	core.New().AddSentences("hi", core.Sentences{Done: "हो गया।"})
	p := core.New()
	core.AddTool(p, core.Tool{Name: "look", Language: "fr"}, look)
	if err := p.Bind(core.Platform{Store: newBackend(t, nil).store, Inbox: &memoryInbox{}, Verifier: auth.Verifier{AllowUnauthenticated: true}}); err == nil || !strings.Contains(err.Error(), `"fr", which has no sentences`) {
		t.Errorf("Bind: %v", err)
	}
}

// panicOf returns what f panics with.
func panicOf(f func()) (text string) {
	defer func() { text = fmt.Sprint(recover()) }()
	f()
	return ""
}

// A language that misses a sentence has the one of the language without its region,
// or of English.
func TestMissingSentences(t *testing.T) {
	for language, want := range map[string]string{"fr": "There is nothing to report.", "es-mx": "No hay nada de que informar."} {
		b := newBackend(t, func(p *core.Processor) {
			p.AddSentences(language, core.Sentences{Done: "OK."})
			core.AddTool(p, core.Tool{Name: "look", Effect: core.ReadOnly, Language: language}, func(context.Context, struct{}) (string, error) { return "", nil })
			core.AddTool(p, core.Tool{Name: "book", Language: language}, func(context.Context, struct{}) (string, error) { return "", nil })
		})
		if got := b.call("/tools/look", "{}"); got != want {
			t.Errorf("%s: said %q", language, got)
		}
		if got := b.call("/tools/book", "{}"); got != "OK." {
			t.Errorf("%s: said %q", language, got)
		}
	}
}

// A sentence with quotation marks is sent as one.
func TestSentenceIsJSON(t *testing.T) {
	b := newBackend(t, func(p *core.Processor) {
		p.AddSentences("fr", core.Sentences{NoTool: `L'outil "ici" n'existe pas.`})
		p.SpeakLanguage(func(context.Context) string { return "fr" })
	})
	r := b.Handle(t.Context(), request("POST", "/tools/none", "{}"))
	var reply struct{ Result string }
	if err := json.Unmarshal(r.Body, &reply); err != nil || reply.Result != `L'outil "ici" n'existe pas.` {
		t.Errorf("%s", r.Body)
	}
}

// No sentence is written anywhere but in Sentences.
func TestNoSentenceIsElsewhere(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 20 {
		t.Fatal(files, err)
	}
	elsewhere := regexp.MustCompile(`(?i)(result|sentence): *["` + "`" + `]|\bSayf?\(["` + "`" + `]`)
	for _, name := range files {
		src, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for n, line := range strings.Split(string(src), "\n") {
			if line, _, _ = strings.Cut(line, "//"); !strings.HasSuffix(name, "_test.go") && elsewhere.MatchString(line) {
				t.Errorf("%s:%d: %s", name, n+1, line)
			}
		}
	}
}
