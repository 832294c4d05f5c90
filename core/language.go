package core

import (
	"context"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/serverurl/serverurl/internal/callstate"
)

const (
	// maxSentence is the longest sentence of [Sentences], in characters: about
	// twenty seconds of speech.
	maxSentence = 300

	// maxLanguageTime is how long [Processor.SpeakLanguage] may take: as long as
	// [CallFrom].
	maxLanguageTime = lookTimeout
)

// languageTag is the shape of a language in lower case: "es", "es-mx", "zh-hant-tw".
var languageTag = regexp.MustCompile(`^[a-z]{2,8}(-[a-z0-9]{1,8}){0,4}$`)

// AddSentences adds the sentences of a language, such as "fr" or "es-MX". English
// and Spanish are there already and may be replaced. A field that is empty is as it
// was: that of the language without its region, or else of English.
//
// It panics if the language is not a tag of BCP 47, or a sentence cannot be spoken:
// if it has a line break, Markdown, a URL or an emoji, is longer than 300 characters,
// or lacks a name in braces that its field needs, or has another.
func (p *Processor) AddSentences(language string, s Sentences) {
	fail := func(format string, args ...any) {
		panic(fmt.Sprintf("core: AddSentences(%q): ", language) + fmt.Sprintf(format, args...))
	}
	tag := normalTag(language)
	switch {
	case p.bound:
		fail("the processor is bound already")
	case !languageTag.MatchString(tag):
		fail("not a language, such as \"fr\" or \"es-MX\"")
	}
	if err := s.check(); err != nil {
		fail("%v", err)
	}
	was := p.spoken(tag)
	if was == nil {
		was = p.sentences["en"]
	}
	all := *was
	replace(reflect.ValueOf(&all).Elem(), reflect.ValueOf(s))
	p.sentences[tag] = &all
}

// replace sets the fields that are not empty.
func replace(to, from reflect.Value) {
	for i := range from.NumField() {
		switch f := from.Field(i); {
		case f.Kind() == reflect.Struct:
			replace(to.Field(i), f)
		case f.String() != "":
			to.Field(i).Set(f)
		}
	}
}

// SpeakLanguage sets the function that chooses the language of a call, for example
// by the assistant of [CallFrom]. It is called once for each request, while the tools
// run and by several at once, and has a second. "", a language without sentences, a panic and being late
// mean English. A tool with a [Tool.Language] of its own speaks that.
func (p *Processor) SpeakLanguage(f func(ctx context.Context) (language string)) {
	if p.bound || p.speakLanguage != nil {
		panic("core: SpeakLanguage: once, and before the processor is bound")
	}
	mustBeFunction("SpeakLanguage", f)
	p.speakLanguage = f
}

// language begins to choose the language of the call of a request, and returns a
// function that waits for it.
func (p *Processor) language(ctx context.Context, q toolRequest) func() string {
	if p.speakLanguage == nil {
		return func() string { return "" }
	}
	q.name = "" // it is the same for all tools of the request
	q.call = callstate.ScopedID(q.from.tenant(), p.validCall(string(q.call)))
	ctx, cancel := context.WithTimeout(context.WithoutCancel(p.withCall(ctx, q)), maxLanguageTime)
	chosen := make(chan string, 1)
	p.work.Go(func() {
		defer cancel()
		chosen <- p.chooseLanguage(ctx)
	})
	return sync.OnceValue(func() string {
		<-ctx.Done() // it is canceled when the language is chosen
		select {
		case l := <-chosen:
			return l
		default:
			p.log.Warn("no language was chosen", "reason", "late")
			return ""
		}
	})
}

// chooseLanguage returns what the backend chooses, "" if that panics.
func (p *Processor) chooseLanguage(ctx context.Context) (l string) {
	defer func() {
		if v := recover(); v != nil {
			l = ""
			p.reportFailure(ctx, Failure{Kind: FailureHandler, Name: placeOf(p.speakLanguage).function, Effect: "language"}.panicked(v))
		}
	}()
	return p.speakLanguage(ctx)
}

// sentencesFor returns what is said of a request, in the language of its tool or
// else of its call.
func (p *Processor) sentencesFor(q toolRequest, language func() string) func() *Sentences {
	if t := p.tools[q.name]; t != nil && t.Language != "" && serves(t.Tenants, q.from.tenant()) {
		language = func() string { return t.Language }
	}
	return func() *Sentences { return p.sentencesIn(language()) }
}

// sentencesIn returns the sentences of a language, those of English if it has none.
func (p *Processor) sentencesIn(language string) *Sentences {
	if s := p.spoken(language); s != nil {
		return s
	}
	if language != "" {
		p.languageOnce.Do(func() {
			p.log.Warn("a language was chosen that has no sentences, so English is spoken: add them with AddSentences")
		})
	}
	return p.sentences["en"]
}

// spoken returns the sentences of a language, or of the one without its region; nil
// if there are none.
func (p *Processor) spoken(language string) *Sentences {
	for tag := normalTag(language); tag != ""; {
		if s := p.sentences[tag]; s != nil {
			return s
		}
		tag = tag[:max(0, strings.LastIndexByte(tag, '-'))]
	}
	return nil
}

func normalTag(language string) string {
	return strings.ToLower(strings.ReplaceAll(strings.TrimSpace(language), "_", "-"))
}

// languages lists the languages that there are, for errors.
func (p *Processor) languages() string {
	return strings.Join(slices.Sorted(maps.Keys(p.sentences)), ", ")
}

// check returns an error that names the first sentence that cannot be spoken. One
// that is empty is not looked at.
func (s Sentences) check() error { return checkFields(reflect.ValueOf(s)) }

func checkFields(s reflect.Value) error {
	for i := range s.NumField() {
		var err error
		switch field := s.Type().Field(i); {
		case field.Type.Kind() == reflect.Struct:
			err = checkFields(s.Field(i))
		case s.Field(i).String() != "":
			if err = checkSentence(s.Field(i).String(), strings.Fields(field.Tag.Get("needs"))); err != nil {
				err = fmt.Errorf("%s %w", field.Name, err)
			}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// checkSentence returns an error if a sentence cannot be spoken, or does not have
// the names in braces that it needs.
func checkSentence(s string, needs []string) error {
	for _, name := range needs {
		name = "{" + name + "}"
		if strings.Count(s, name) != 1 {
			return fmt.Errorf("needs %s once", name)
		}
		s = strings.Replace(s, name, "x", 1)
	}
	switch {
	case strings.TrimSpace(s) != s || s == "":
		return fmt.Errorf("begins or ends with white space")
	case utf8.RuneCountInString(s) > maxSentence:
		return fmt.Errorf("has more than %d characters", maxSentence)
	case strings.ContainsAny(s, "{}"):
		return fmt.Errorf("has a name in braces that is not replaced")
	case strings.ContainsAny(s, "\r\n\u0085\u2028\u2029"):
		return fmt.Errorf("has a line break")
	case strings.Contains(s, "://"), strings.Contains(strings.ToLower(s), "www."):
		return fmt.Errorf("has a URL, which is read out letter by letter")
	}
	for _, r := range s {
		if !isSpeakable(r) {
			return fmt.Errorf("has the character %q, which cannot be spoken", r)
		}
	}
	return nil
}

// isSpeakable reports whether a character may be in a sentence: it is a letter,
// a digit or punctuation, not one of Markdown, and not a symbol such as an emoji.
func isSpeakable(r rune) bool {
	const joiners = "\u200c\u200d" // of letters, in Persian and the languages of India
	switch {
	case strings.ContainsRune("*_#`~|<>[]\\^=", r), r == utf8.RuneError:
		return false
	case r >= 0x2190 && r < 0x2c00, r >= 0xe000 && r < 0xf900, r >= 0x1f000 && r < 0x20000: // arrows to dingbats, private, emoji
		return false
	}
	return strconv.IsPrint(r) || strings.ContainsRune(joiners, r)
}
