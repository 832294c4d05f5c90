package core

import (
	"strings"

	"github.com/serverurl/serverurl/core/auth"
)

// isJSON reports whether the body is JSON by its header: application/json in
// UTF-8, or no type at all (docs/events.md#envelope). Compressed bodies are
// refused, because a small one can expand to a large one.
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

// isJSONMedia reports whether a media type is application/json in UTF-8. It
// parses like mime.ParseMediaType, but without the tables of file types, which
// take 27 kB of a compressed Worker. It returns false for what it cannot parse.
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
		if name = trimSpace(name); name == "" || strings.ContainsAny(name, "*;\" \t,:()<>@[]{}?/\\") { // * is for values in parts or with a language (RFC 2231)
			return false
		}
		if strings.EqualFold(name, "charset") && !strings.EqualFold(value, "utf-8") {
			return false
		}
	}
	return true
}

// parameter returns the value of a parameter, quoted or not, and what follows it.
// The value is "" if it is invalid, or has an escape, which no charset needs.
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

// trimSpace removes what HTTP calls white space.
func trimSpace(s string) string { return strings.Trim(s, " \t") }
