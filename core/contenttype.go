package core

import (
	"strings"

	"github.com/serverurl/serverurl/core/auth"
)

// isJSON accepts application/json in UTF-8, and a sender that says nothing
// (docs/events.md#envelope). Encoded bodies are refused: a small one can hide
// a large one.
func isJSON(h auth.Header) bool {
	if enc := h.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return false
	}
	ct := h.Get("Content-Type")
	if ct == "" {
		return true
	}
	return isJSONMedia(ct)
}

// isJSONMedia accepts application/json in UTF-8. It reads a media type as
// mime.ParseMediaType does, without its tables of file types: they cost a
// Worker 27 kB of gzip. What it cannot be sure of it refuses.
func isJSONMedia(ct string) bool {
	if strings.ContainsFunc(ct, func(r rune) bool { return r != '\t' && (r < ' ' || r > '~') }) {
		return false
	}
	media, params, _ := strings.Cut(ct, ";")
	if !strings.EqualFold(trimSpace(media), "application/json") {
		return false
	}
	for trimSpace(params) != "" {
		var name, value string
		name, params, _ = strings.Cut(params, "=")
		if value, params = parameter(params); value == "" {
			return false
		}
		if name = trimSpace(name); name == "" || strings.ContainsAny(name, "*;\" \t,:()<>@[]{}?/\\") { // "*": parts of a value, or its language
			return false
		}
		if strings.EqualFold(name, "charset") && !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// parameter cuts a value, quoted or not, from the others. A value with an
// escape in it is none.
func parameter(s string) (value, rest string) {
	quoted, ok := strings.CutPrefix(strings.TrimLeft(s, " \t"), `"`)
	if !ok {
		value, rest, _ = strings.Cut(s, ";")
		if value = trimSpace(value); strings.ContainsAny(value, "\" \t,:()<>@[]{}?/=\\") {
			return "", ""
		}
		return value, rest
	}
	value, rest, ok = strings.Cut(quoted, `"`)
	between, rest, _ := strings.Cut(rest, ";")
	if !ok || strings.Contains(value, `\`) || trimSpace(between) != "" {
		return "", ""
	}
	return value, rest
}

func trimSpace(s string) string { return strings.Trim(s, " \t") }
