package inspect

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// An eye is how much a visitor sees: shapes of what people said, or all.
type eye struct{ open bool }

// Text and JSON are for templates, open for the button that shows.
func (e eye) Text(s string) string           { return e.text(s) }
func (e eye) JSON(v []byte, all bool) string { return e.json(v, all) }

// Open reports whether everything is seen.
func (e eye) Open() bool { return e.open }

// text is s, or its shape: words as dots, so that a line still looks like one.
func (e eye) text(s string) string {
	if e.open || s == "" {
		return s
	}
	var b strings.Builder
	run := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if run++; run <= 8 {
				b.WriteRune('•')
			}
			continue
		}
		run = 0
		if unicode.IsSpace(r) || strings.ContainsRune(".,;:!?+-–—()[]{}/'\"", r) {
			b.WriteRune(r)
		} else {
			b.WriteRune('•')
		}
	}
	return b.String()
}

// shown are keys whose values tell nothing about a person. Everything else
// that is text is masked, so that a new field is a decision here.
var shown = setOf("type", "id", "_id", "teamId", "assistantId", "messageId", "userMessageId", "botMessageId", "toolCallId", "phoneNumberId",
	"callType", "direction", "status", "phoneCallStatus", "phoneCallStatusReason", "callEndTriggerBy", "role", "stopSpeakingReason", "finish_reason",
	"startAt", "endAt", "createdAt", "updatedAt", "timestamp", "timestampMs", "successEvaluation", "outcome", "code", "provider", "vendor", "model",
	"assistantProvider", "assistantModel", "language", "languages", "welcomeMessageMode", "function", "dataType", "rubric", "received")

// personal are keys below which numbers and truths are masked as well.
var personal = setOf("arguments", "args", "parameters", "structuredData", "metadata", "dynamicVariables", "assistantOverrides", "result", "results")

func setOf(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// json is a body for people to read: indented, and masked. all masks everything
// but the keys, for what is a person's from the top: the arguments of a tool.
func (e eye) json(v []byte, all bool) string {
	if len(bytes.TrimSpace(v)) == 0 {
		return ""
	}
	dec := jsontext.NewDecoder(bytes.NewReader(v), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	var out bytes.Buffer
	enc := jsontext.NewEncoder(&out, jsontext.WithIndent("  "), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	for {
		tok, err := dec.ReadToken()
		if errors.Is(err, io.EOF) {
			return strings.TrimRight(out.String(), "\n")
		}
		if err != nil {
			return e.text(string(v)) // no JSON: its shape
		}
		tok = tok.Clone()
		kind, n := dec.StackIndex(dec.StackDepth())
		if isName := kind == '{' && n%2 == 1; !isName && !e.open {
			key, below := where(string(dec.StackPointer()), all)
			switch tok.Kind() {
			case '"':
				if below || !shown[key] {
					tok = jsontext.String(e.text(tok.String()))
				}
			case '0', 't', 'f':
				if below {
					tok = jsontext.String("•")
				}
			}
		}
		if enc.WriteToken(tok) != nil {
			return e.text(string(v))
		}
	}
}

// where reads a JSON pointer: the last key, and whether one above it is
// personal.
func where(pointer string, all bool) (key string, below bool) {
	below = all
	for part := range strings.SplitSeq(pointer, "/") {
		if part == "" || unicode.IsDigit(rune(part[0])) {
			continue
		}
		if below = below || personal[key]; true {
			key = part
		}
	}
	return key, below || personal[key]
}
