package auth

import (
	"bytes"
	"strconv"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// FuzzVerifyStandard compares our check of a signature with the reference
// library's: what we accept it accepts, and a changed body is always rejected.
func FuzzVerifyStandard(f *testing.F) {
	theirs, err := standard.NewWebhook(whsec)
	if err != nil {
		f.Fatal(err)
	}
	now := time.Now()
	at := strconv.FormatInt(now.Unix(), 10)
	valid, err := theirs.Sign("msg_1", now, []byte(signedBody))
	if err != nil {
		f.Fatal(err)
	}
	f.Add("msg_1", at, valid, []byte(signedBody))
	f.Add("msg_1", at, "v1,AAAA "+valid, []byte(signedBody))
	f.Add("msg_1", at, valid+" v1a,AAAA", []byte(signedBody+" "))
	f.Add("msg_1.", at, "v1,", []byte(`{}`))
	f.Add("", "-1", "v1", []byte(``))
	ours := Verifier{StandardWebhooksSecrets: ParseSecrets(whsec)}
	f.Fuzz(func(t *testing.T, id, when, signature string, body []byte) {
		r := request("webhook-id", id, "webhook-timestamp", when, "webhook-signature", signature)
		r.Body = body
		_, err := ours.Verify(r.Header, r.Body, now)
		if err != nil {
			return
		}
		trim := func(s string) string { return strings.Trim(s, " \t") } // as HTTP does
		if err := theirs.Verify(body, headerOf(trim(id), trim(when), trim(signature))); err != nil {
			t.Fatalf("accepted, but the reference says %v", err)
		}
		r.Body = append(bytes.Clone(body), ' ')
		if _, err := ours.Verify(r.Header, r.Body, now); err == nil {
			t.Fatal("a changed body is accepted")
		}
	})
}

func headerOf(id, when, signature string) map[string][]string {
	return map[string][]string{"Webhook-Id": {id}, "Webhook-Timestamp": {when}, "Webhook-Signature": {signature}}
}
