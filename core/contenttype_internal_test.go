package core

import (
	"mime"
	"strings"
	"testing"
)

func byMime(ct string) bool {
	media, params, err := mime.ParseMediaType(ct)
	return err == nil && media == "application/json" && (params["charset"] == "" || strings.EqualFold(params["charset"], "utf-8"))
}

// What is accepted is what the standard library would accept, or less.
func TestJSONMedia(t *testing.T) {
	for _, ct := range []string{
		"application/json", "Application/JSON", " application/json ", "application/json;", "application/json; ",
		"application/json; charset=utf-8", "application/json;charset=UTF-8", `application/json; charset="utf-8"`, `application/json; charset="utf-8" ; v=1`,
		"application/json; charset=utf-16", "application/json; charset=", "application/json; charset", `application/json; charset="utf-8`, "application/json; v=1; charset=latin1",
		"application/json; v=1", "application/json; v=1;", "application/jsonp", "application/json+x", "text/plain", "", ";", "; charset=utf-8", "application/json charset=utf-8",
		"application/json; a b=c", "application/json; =utf-8", `application/json; charset="utf-8"x`, "application/json; v=a b", "application/json, text/plain",
	} {
		if got, want := isJSONMedia(ct), byMime(ct); got != want {
			t.Errorf("%q: %t, the standard library says %t", ct, got, want)
		}
	}
	for _, ct := range []string{"application/json;; charset=utf-16", "application/json; charset*0=utf-16", `application/json; charset="utf\-16"`, "application/json; charset=utf-8; charset=utf-16"} {
		if isJSONMedia(ct) {
			t.Errorf("%q is accepted", ct)
		}
	}
}

func FuzzJSONMedia(f *testing.F) {
	f.Add("application/json; charset=utf-8")
	f.Add(`application/json; a="b"; charset="utf-16"`)
	f.Fuzz(func(t *testing.T, ct string) {
		if _, _, err := mime.ParseMediaType(ct); err != nil && strings.Contains(err.Error(), "duplicate") {
			return // a parameter that stands twice may, when both are right
		}
		if isJSONMedia(ct) && !byMime(ct) {
			t.Errorf("%q is accepted, the standard library does not", ct)
		}
	})
}
