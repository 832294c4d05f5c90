package core

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// FuzzVerifyStandard asks our check of a signature and the reference library's
// about the same request: where we say yes, so do they, and a body that was
// changed is never sound.
func FuzzVerifyStandard(f *testing.F) {
	theirs, err := standard.NewWebhook(whsec)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	at := strconv.FormatInt(now.Unix(), 10)
	sound, err := theirs.Sign("msg_1", now, []byte(signedBody))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("msg_1", at, sound, []byte(signedBody))
	f.Add("msg_1", at, "v1,AAAA "+sound, []byte(signedBody))
	f.Add("msg_1", at, sound+" v1a,AAAA", []byte(signedBody+" "))
	f.Add("msg_1.", at, "v1,", []byte(`{}`))
	f.Add("", "-1", "v1", []byte(``))
	ours := Sender{StandardWebhooks: ParseSecrets(whsec)}
	f.Fuzz(func(t *testing.T, id, when, signature string, body []byte) {
		r := request("webhook-id", id, "webhook-timestamp", when, "webhook-signature", signature)
		r.Body = body
		_, err := ours.verify(r, now)
		if err != nil {
			return
		}
		trim := func(s string) string { return strings.Trim(s, " \t") } // as HTTP does on the way
		if err := theirs.Verify(body, headerOf(trim(id), trim(when), trim(signature))); err != nil {
			t.Fatalf("we say yes, the reference says %v", err)
		}
		r.Body = append(bytes.Clone(body), ' ')
		if _, err := ours.verify(r, now); err == nil {
			t.Fatal("a changed body is sound")
		}
	})
}

func headerOf(id, when, signature string) map[string][]string {
	return map[string][]string{"Webhook-Id": {id}, "Webhook-Timestamp": {when}, "Webhook-Signature": {signature}}
}

// FuzzReplyGuard: whatever a tool returns, what is sent is one line of UTF-8
// below the limit, and guarding it again changes nothing.
func FuzzReplyGuard(f *testing.F) {
	for _, s := range []string{"", "a\r\nb", "\u2028\u2029\u0085\x00", "\xff\xfe", "a\ud7ffb", "  x  ", "ë😀"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, v := range []any{s, []string{s}, map[string]string{s: s}, struct{ A string }{s}} {
			got, err := resultText(v)
			if err != nil {
				continue // said in words of ours
			}
			checkLine(t, got)
			if again := oneLine(got); again != got {
				t.Fatalf("twice is not once: %q %q", got, again)
			}
		}
		checkLine(t, sentence(Say(s)))
	})
}

func checkLine(t *testing.T, s string) {
	t.Helper()
	if !utf8.ValidString(s) || strings.ContainsAny(s, "\n\r\v\f\u0085\u2028\u2029\x00") {
		t.Fatalf("not one line: %q", s)
	}
}
