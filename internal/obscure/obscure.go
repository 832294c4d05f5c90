// Package obscure hides what people said when a call is displayed, and keeps
// its shape: words become dots, JSON keeps its keys. The inspector and the
// terminal screen show calls so until somebody asks for the text.
//
// It is for display only. What is never stored at all is package redact's.
package obscure

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"unicode"

	"github.com/go-json-experiment/json/jsontext"
)

// maxDots is how many dots stand for a word, so that the length of a
// name is hidden.
const maxDots = 8

// Text returns s with its words as dots. Spaces and punctuation stay.
func Text(s string) string {
	var b strings.Builder
	run := 0
	for _, r := range s {
		if unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) {
			if run++; run <= maxDots {
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

// public are the keys whose values say nothing about a person. The text below
// all other keys is hidden, so that showing a new field is a decision.
var public = set("type", "id", "_id", "teamId", "assistantId", "messageId", "userMessageId", "botMessageId", "toolCallId", "phoneNumberId",
	"callType", "direction", "status", "phoneCallStatus", "phoneCallStatusReason", "callEndTriggerBy", "role", "stopSpeakingReason", "finish_reason",
	"startAt", "endAt", "createdAt", "updatedAt", "timestamp", "timestampMs", "successEvaluation", "outcome", "code", "provider", "vendor", "model",
	"assistantProvider", "assistantModel", "language", "languages", "welcomeMessageMode", "function", "dataType", "rubric", "received")

// personal are the keys below which every value is hidden, numbers and booleans
// included.
var personal = set("arguments", "args", "parameters", "structuredData", "metadata", "dynamicVariables", "assistantOverrides", "result", "results")

func set(names ...string) map[string]bool {
	m := map[string]bool{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// Indent returns v indented, with nothing hidden. What is not JSON is returned
// as it is.
func Indent(v []byte) string {
	return indent(v, func(string, jsontext.Token) jsontext.Token { return jsontext.Token{} }, func(s string) string { return s })
}

// JSON returns v indented, with the values hidden that may say something about
// a person. If allValues is set, nothing but the keys is shown: v is the
// arguments or the result of a tool.
func JSON(v []byte, allValues bool) string {
	return indent(v, func(pointer string, value jsontext.Token) jsontext.Token {
		key, below := locate(pointer)
		below = below || allValues
		switch value.Kind() {
		case '"':
			if below || !public[key] {
				return jsontext.String(Text(value.String()))
			}
		case '0', 't', 'f':
			if below {
				return jsontext.String("•")
			}
		}
		return jsontext.Token{}
	}, Text)
}

// indent writes v anew, with the tokens that replace returns instead of values;
// a zero token replaces nothing. What is not JSON is passed to invalid.
func indent(v []byte, replace func(pointer string, value jsontext.Token) jsontext.Token, invalid func(string) string) string {
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
			return invalid(string(v))
		}
		tok = tok.Clone()
		if kind, n := dec.StackIndex(dec.StackDepth()); kind != '{' || n%2 == 0 { // a value, not a name
			if other := replace(string(dec.StackPointer()), tok); other.Kind() != 0 {
				tok = other
			}
		}
		if enc.WriteToken(tok) != nil {
			return invalid(string(v))
		}
	}
}

// locate returns the last key of a JSON pointer, and whether it or a key above
// it is personal.
func locate(pointer string) (key string, below bool) {
	for part := range strings.SplitSeq(pointer, "/") {
		if part == "" || unicode.IsDigit(rune(part[0])) {
			continue
		}
		key = part
		below = below || personal[key]
	}
	return key, below
}
