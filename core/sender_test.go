package core

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	standard "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"pgregory.net/rapid"
)

const (
	current  = "5f1d0c9a7b3e48d2a6c4e8f0b1d3957a"
	older    = "0d7e2b91c4f8a6355e8091d2c7ba43f6"
	whsec    = "whsec_aC9kQ2xP/0nV7tLr+4sBzYw8GmHdEfJu"
	olderSec = "whsec_Jx4vN8pRt2Lq0Zy6Ka1Sd3Fg5Hj7Lk9W"
)

// These were made with openssl dgst -sha256 -mac HMAC, not with this package:
//
//	printf %s "$body" | openssl dgst -sha256 -hmac "$current"
//	printf %s "msg_1.1784044945.$body" | openssl dgst -sha256 -mac HMAC -macopt hexkey:"$key" -binary | base64
const (
	signedBody   = `{"message":{"type":"hang","call":{"id":"WC-1"}}}`
	signedAt     = 1784044945
	oursHex      = "846b194411b384d997c94b96f85e4184dba41ce0e4792f6f5947489503db9858"
	olderHex     = "b4af662bc4143921e3744413a1ecf05dd3675f7daab470b33afde1e84ae32d1e"
	whsecBase    = "SzAYFjR7Hj96qAxF00SDBizdsjYkF9me1XzP2GiKPK0="
	olderSecBase = "N99vZdO+m3d+RvHux4IqcBCimori9YahIVUZChK+Jyg="
)

// A sentRequest is what of a request a Sender looks at.
type sentRequest struct {
	Header Header
	Body   []byte
}

func request(fields ...string) *sentRequest {
	h := Header{}
	for i := 0; i < len(fields); i += 2 {
		h[fields[i]] = append(h[fields[i]], fields[i+1])
	}
	return &sentRequest{Header: h, Body: []byte(signedBody)}
}

func TestVerify(t *testing.T) {
	var (
		one      = Sender{Secrets: ParseSecrets(current)}
		two      = Sender{Secrets: ParseSecrets(current + "," + older)}
		own      = Sender{Secrets: ParseSecrets(current), Headers: []string{"X-Office"}}
		signing  = Sender{Signing: ParseSecrets(current + "," + older)}
		hooks    = Sender{StandardWebhooks: ParseSecrets(whsec + "," + olderSec)}
		all      = Sender{Secrets: ParseSecrets(current), Signing: ParseSecrets(current), StandardWebhooks: ParseSecrets(whsec)}
		anyone   = Sender{Anyone: true}
		both     = Sender{Anyone: true, Secrets: ParseSecrets(current)}
		empty    = Sender{Secrets: []Secret{{}}}
		sig, at  = "X-Interactly-Signature", "X-Interactly-Timestamp"
		id, when = "webhook-id", "webhook-timestamp"
		hook     = "webhook-signature"
		now      = strconv.Itoa(signedAt)
	)
	for _, c := range []struct {
		rule   string
		sender Sender
		fields []string
		want   string
		err    error
	}{
		{"the documented header", one, []string{"X-Interactly-Secret", current}, "secret 1 of 1", nil},
		{"any case of its name", one, []string{"x-iNTERACTLY-secret", current}, "secret 1 of 1", nil},
		{"the dashboard's spelling", one, []string{"X-INTERACTLY.AI-SECRET", current}, "secret 1 of 1", nil},
		{"the older dialect's", one, []string{"x-vapi-secret", current}, "secret 1 of 1", nil},
		{"a bearer", one, []string{"authorization", "Bearer " + current}, "secret 1 of 1", nil},
		{"a bearer in lower case", one, []string{"authorization", "bearer  " + current}, "secret 1 of 1", nil},
		{"an own name", own, []string{"x-office", current}, "secret 1 of 1", nil},
		{"with an own name, the others do not count", own, []string{"x-interactly-secret", current}, "", errUnauthenticated},
		{"the second in rotation", two, []string{"x-interactly-secret", older}, "secret 2 of 2", nil},
		{"the first in rotation", two, []string{"x-interactly-secret", current}, "secret 1 of 2", nil},
		{"the same value twice", one, []string{"x-interactly-secret", current, "X-Interactly-Secret", current}, "secret 1 of 1", nil},
		{"a platform's own credential beside it", one, []string{"x-interactly-secret", current, "Authorization", "Bearer somebody-elses"}, "secret 1 of 1", nil},
		{"one right, one wrong header", one, []string{"x-interactly-secret", "x", "x-vapi-secret", current}, "secret 1 of 1", nil},

		{"no header", one, nil, "", errUnauthenticated},
		{"an empty header", one, []string{"x-interactly-secret", ""}, "", errUnauthenticated},
		{"a wrong secret", one, []string{"x-interactly-secret", older}, "", errUnauthenticated},
		{"a part of the secret", one, []string{"x-interactly-secret", current[:31]}, "", errUnauthenticated},
		{"more than the secret", one, []string{"x-interactly-secret", current + "0"}, "", errUnauthenticated},
		{"another case of it", one, []string{"x-interactly-secret", strings.ToUpper(current)}, "", errUnauthenticated},
		{"both in one", two, []string{"x-interactly-secret", current + ", " + older}, "", errUnauthenticated},
		{"two different values", two, []string{"x-interactly-secret", current, "X-Interactly-Secret", older}, "", errUnauthenticated},
		{"two different bearers", one, []string{"Authorization", "Bearer " + current, "authorization", "Bearer x"}, "", errUnauthenticated},
		{"another scheme", one, []string{"Authorization", "Basic " + current}, "", errUnauthenticated},
		{"no scheme", one, []string{"Authorization", current}, "", errUnauthenticated},
		{"another header", one, []string{"x-secret", current}, "", errUnauthenticated},
		{"the zero Sender is nobody", Sender{}, []string{"x-interactly-secret", ""}, "", errUnauthenticated},
		{"an empty secret is nobody's", empty, []string{"x-interactly-secret", ""}, "", errUnauthenticated},
		{"an empty secret is nobody's bearer", empty, []string{"authorization", "Bearer "}, "", errUnauthenticated},
		{"another endpoint's kind of secret", signing, []string{"x-interactly-secret", current}, "", errUnauthenticated},
		{"anyone", anyone, nil, "anyone", nil},
		{"anyone, but a secret is set", both, nil, "", errUnauthenticated},

		{"a signature", signing, []string{sig, oursHex, at, now}, "signing secret 1 of 2", nil},
		{"a signature of the older key", signing, []string{sig, olderHex, at, now}, "signing secret 2 of 2", nil},
		{"a signature in upper case", signing, []string{sig, strings.ToUpper(oursHex), at, now}, "", errUnauthenticated},
		{"a signature with a prefix", signing, []string{sig, "sha256=" + oursHex, at, now}, "", errUnauthenticated},
		{"a signature without a time", signing, []string{sig, oursHex}, "", errUnauthenticated},
		{"a signature with half a time", signing, []string{sig, oursHex, at, now + ".5"}, "", errUnauthenticated},
		{"a signature with a signed time", signing, []string{sig, oursHex, at, "+" + now}, "", errUnauthenticated},
		{"a signature with a time in ms", signing, []string{sig, oursHex, at, now + "000"}, "", errUnauthenticated},
		{"a signature with two times", signing, []string{sig, oursHex, at, now, "x-interactly-timestamp", "1"}, "", errUnauthenticated},
		{"an empty signature", signing, []string{sig, "", at, now}, "", errUnauthenticated},
		{"a right secret, a wrong signature", all, []string{"x-interactly-secret", current, sig, olderHex, at, now}, "", errUnauthenticated},
		{"a right secret, an old signature", all, []string{"x-interactly-secret", current, sig, oursHex, at, "1784040000"}, "", errStaleTimestamp},
		{"a wrong secret, a right signature", all, []string{"x-interactly-secret", older, sig, oursHex, at, now}, "signing secret 1 of 1", nil},
		{"a signature that nobody asked for", one, []string{"x-interactly-secret", current, sig, "x", hook, "v1,x"}, "secret 1 of 1", nil},
		{"a wrong signature and an old time tell nothing of our clock", signing, []string{sig, oursHex[1:] + "0", at, "1"}, "", errUnauthenticated},

		{"a webhook", hooks, []string{id, "msg_1", when, now, hook, "v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"a webhook of the older key", hooks, []string{id, "msg_1", when, now, hook, "v1," + olderSecBase}, "webhook secret 2 of 2", nil},
		{"one of several signatures", hooks, []string{id, "msg_1", when, now, hook, "v1,eA== v1a,eA== v2,x v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"eight signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 7) + "v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"nine signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 8) + "v1," + whsecBase}, "", errUnauthenticated},
		{"a thousand signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 999) + "v1," + whsecBase}, "", errUnauthenticated},
		{"only unknown versions", hooks, []string{id, "msg_1", when, now, hook, "v1a," + whsecBase + " v2," + whsecBase}, "", errUnauthenticated},
		{"no version", hooks, []string{id, "msg_1", when, now, hook, whsecBase}, "", errUnauthenticated},
		{"another id", hooks, []string{id, "msg_2", when, now, hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"no id", hooks, []string{when, now, hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"another time", hooks, []string{id, "msg_1", when, "1784044946", hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"no time", hooks, []string{id, "msg_1", hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"the parts cut elsewhere", hooks, []string{id, "msg_1." + now, when, "", hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"two different ids", hooks, []string{id, "msg_1", "Webhook-Id", "msg_2", when, now, hook, "v1," + whsecBase}, "", errUnauthenticated},
		{"a right secret, a wrong webhook", all, []string{"x-interactly-secret", current, id, "msg_1", when, now, hook, "v1," + olderSecBase}, "", errUnauthenticated},

		{"a hundred fields", one, append([]string{"x-interactly-secret", current}, slices.Repeat([]string{"a", ""}, 99)...), "secret 1 of 1", nil},
		{"a hundred and one", one, append([]string{"x-interactly-secret", current}, slices.Repeat([]string{"a", ""}, 100)...), "", errHeaderSize},
		{"16 kB", one, []string{"x-interactly-secret", current, "a", strings.Repeat("a", 16<<10-len(current)-20)}, "secret 1 of 1", nil},
		{"more than 16 kB", one, []string{"x-interactly-secret", current, "a", strings.Repeat("a", 16<<10-len(current)-19)}, "", errHeaderSize},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := request(c.fields...)
			got, err := c.sender.verify(r.Header, r.Body, time.Unix(signedAt, 0))
			if got != c.want || err != c.err {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.want, c.err)
			}
			if string(r.Body) != signedBody {
				t.Error("the body was changed")
			}
		})
	}
}

func TestVerifyTime(t *testing.T) {
	for _, tolerance := range []time.Duration{0, 30 * time.Second, 15 * time.Minute} {
		s := Sender{Signing: ParseSecrets(current), StandardWebhooks: ParseSecrets(whsec), Tolerance: tolerance}
		limit := tolerance
		if limit == 0 {
			limit = 5 * time.Minute
		}
		for off, want := range map[time.Duration]error{
			0: nil, limit - time.Second: nil, limit: nil, limit + time.Nanosecond: errStaleTimestamp, limit + time.Second: errStaleTimestamp,
			time.Second - limit: nil, -limit: nil, -limit - time.Second: errStaleTimestamp, 9000 * time.Hour: errStaleTimestamp,
		} {
			now := time.Unix(signedAt, 0).Add(off)
			at := strconv.Itoa(signedAt)
			if _, err := s.verify(request("X-Interactly-Signature", oursHex, "X-Interactly-Timestamp", at).Header, []byte(signedBody), now); err != want {
				t.Errorf("signature, tolerance %v, off by %v: got %v, want %v", limit, off, err, want)
			}
			if _, err := s.verify(request("webhook-id", "msg_1", "webhook-timestamp", at, "webhook-signature", "v1,"+whsecBase).Header, []byte(signedBody), now); err != want {
				t.Errorf("webhook, tolerance %v, off by %v: got %v, want %v", limit, off, err, want)
			}
		}
	}
}

// TestVerifyAcceptsNoMutation changes one thing of a request that is right
// (K1). A body, a header or a signature that was changed is never accepted.
func TestVerifyAcceptsNoMutation(t *testing.T) {
	s := Sender{Secrets: ParseSecrets(current), Signing: ParseSecrets(current), StandardWebhooks: ParseSecrets(whsec)}
	at := strconv.Itoa(signedAt)
	ways := [][]string{
		{"x-interactly-secret", current},
		{"x-interactly-signature", oursHex, "x-interactly-timestamp", at},
		{"webhook-signature", "v1," + whsecBase, "webhook-id", "msg_1", "webhook-timestamp", at},
	}
	rapid.Check(t, func(t *rapid.T) {
		way := rapid.IntRange(0, 2).Draw(t, "way")
		r := request(ways[way]...)
		if _, err := s.verify(r.Header, r.Body, time.Unix(signedAt, 0)); err != nil {
			t.Fatal(err)
		}
		names := []string{ways[way][0]}
		if way == 2 {
			names = append(names, "webhook-id", "webhook-timestamp")
		}
		what := rapid.IntRange(0, len(names)).Draw(t, "what")
		if what == len(names) && way > 0 {
			r.Body = mutate(t, r.Body)
		} else {
			name := names[what%len(names)]
			r.Header[name] = []string{string(mutate(t, []byte(r.Header[name][0])))}
			if strings.Trim(r.Header[name][0], " \t") == strings.Trim(ways[way][2*slices.Index(names, name)+1], " \t") {
				t.Skip("white space around is not part of a value")
			}
		}
		if m, err := s.verify(r.Header, r.Body, time.Unix(signedAt, 0)); err == nil {
			t.Fatalf("accepted as %s: %q %q", m, r.Header, r.Body)
		}
	})
}

// mutate returns b with one change, different from b.
func mutate(t *rapid.T, b []byte) []byte {
	at := rapid.IntRange(0, len(b)-1).Draw(t, "at")
	c := rapid.Byte().Draw(t, "byte")
	switch rapid.IntRange(0, 3).Draw(t, "how") {
	case 0:
		return slices.Insert(bytes.Clone(b), at, c)
	case 1:
		return slices.Delete(bytes.Clone(b), at, at+1)
	case 2:
		return b[:at]
	}
	b = bytes.Clone(b)
	b[at] ^= max(c, 1)
	return b
}

// TestVerifyAgainstTheReference asks the reference library of Standard
// Webhooks about the same requests.
func TestVerifyAgainstTheReference(t *testing.T) {
	reference, err := standard.NewWebhook(whsec)
	if err != nil {
		t.Fatal(err)
	}
	s := Sender{StandardWebhooks: ParseSecrets(whsec)}
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		now := time.Now()
		at := now.Add(time.Duration(rapid.IntRange(-400, 400).Draw(t, "off")) * time.Second).Truncate(time.Second)
		if d := now.Sub(at).Abs() - 5*time.Minute; d.Abs() < 5*time.Second {
			t.Skip("the reference reads the clock itself")
		}
		id := rapid.StringMatching(`[A-Za-z0-9_]{1,40}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		sig, err := reference.Sign(id, at, body)
		if err != nil {
			t.Fatal(err)
		}
		switch rapid.IntRange(0, 5).Draw(t, "how") {
		case 0:
			sig = "v1a,x v1,eA== " + sig
		case 1:
			sig = sig[:len(sig)-2]
		case 2:
			body = append(body, 'x')
		case 3:
			sig = "v2" + sig[2:]
		}
		fields := []string{"webhook-id", id, "webhook-timestamp", strconv.FormatInt(at.Unix(), 10), "webhook-signature", sig}
		h := http.Header{}
		for i := 0; i < len(fields); i += 2 {
			h.Set(fields[i], fields[i+1])
		}
		want := reference.Verify(body, h)
		r := request(fields...)
		r.Body = body
		if _, got := s.verify(r.Header, r.Body, now); (got == nil) != (want == nil) {
			t.Fatalf("we say %v, the reference says %v: %q", got, want, fields)
		}
		if want == nil {
			accepted++
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted, so nothing was compared")
	}
}

// TestVerifyCutsOnce holds that a signed message cannot be read as another
// one, with the full stops between its parts at other places.
func TestVerifyCutsOnce(t *testing.T) {
	reference, err := standard.NewWebhook(whsec)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := reference.Sign("msg_1", time.Unix(1, 0), []byte("1784044945."+signedBody))
	if err != nil {
		t.Fatal(err)
	}
	s := Sender{StandardWebhooks: ParseSecrets(whsec)}
	r := request("webhook-id", "msg_1.1", "webhook-timestamp", "1784044945", "webhook-signature", sig)
	if _, err := s.verify(r.Header, r.Body, time.Unix(signedAt, 0)); err != errUnauthenticated {
		t.Errorf("an old message is accepted as a new one: %v", err)
	}
}

func TestVerifyMakesNoCopyOfTheBody(t *testing.T) {
	s := Sender{Signing: ParseSecrets(current)}
	r := request("X-Interactly-Signature", oursHex, "X-Interactly-Timestamp", "1")
	r.Body = make([]byte, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = s.verify(r.Header, r.Body, time.Unix(signedAt, 0))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes allocated for a body of 1 MiB", n)
	}
}

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		rule   string
		sender Sender
		want   error  // nil with say: any error
		say    string // in the message
	}{
		{"a good secret", Sender{Secrets: ParseSecrets(current)}, nil, ""},
		{"only signatures", Sender{Signing: ParseSecrets(current)}, nil, ""},
		{"only webhooks", Sender{StandardWebhooks: ParseSecrets(whsec)}, nil, ""},
		{"anyone", Sender{Anyone: true}, nil, ""},
		{"anyone with a weak one", Sender{Anyone: true, Secrets: ParseSecrets("dev")}, nil, ""},
		{"nothing", Sender{}, ErrNoSecret, "SERVERURL_SECRET"},
		{"nothing, with what to type", Sender{}, ErrNoSecret, "openssl rand -hex 32"},
		{"a weak one among good ones", Sender{Secrets: ParseSecrets(current + ",hunter2")}, ErrWeakSecret, "secret 2 of 2"},
		{"a weak signing key", Sender{Signing: ParseSecrets("hunter2")}, ErrWeakSecret, "signing secret 1 of 1"},
		{"an empty one", Sender{Secrets: []Secret{{}}}, ErrWeakSecret, "secret 1 of 1"},
		{"a webhook key without whsec_", Sender{StandardWebhooks: ParseSecrets(current)}, errStandardKey, "whsec_"},
		{"a webhook key of 23 bytes", Sender{StandardWebhooks: ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)))}, errStandardKey, "24"},
		{"a webhook key of 65 bytes", Sender{StandardWebhooks: ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)))}, errStandardKey, "64"},
		{"a tolerance that is too short", Sender{Secrets: ParseSecrets(current), Tolerance: 29 * time.Second}, nil, "30s"},
		{"a tolerance that is too long", Sender{Secrets: ParseSecrets(current), Tolerance: 16 * time.Minute}, nil, "15m"},
	} {
		err := c.sender.check()
		if (err == nil) != (c.say == "") || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.rule, err, c.want)
			continue
		}
		if err != nil && (!strings.Contains(err.Error(), c.say) || strings.Contains(err.Error(), "hunter2")) {
			t.Errorf("%s: the error says %q, not %q", c.rule, err, c.say)
		}
	}
}

func TestLogKey(t *testing.T) {
	a, b, none := Sender{Secrets: ParseSecrets(current + "," + older)}, Sender{Secrets: ParseSecrets(current)}, Sender{Anyone: true}
	if a.logKey() != b.logKey() {
		t.Error("instances in the middle of a rotation log different tags")
	}
	if a.logKey() == none.logKey() {
		t.Error("the key does not depend on the secret")
	}
	if n := len((&Sender{Secrets: a.Secrets, Signing: b.Secrets, StandardWebhooks: ParseSecrets(whsec)}).secrets()); n != 4 {
		t.Errorf("%d secrets are masked, want 4", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"message":{"type":"conversation-update","messages":["` + strings.Repeat("a", 200_000) + `"]}}`)
	for name, c := range map[string]struct {
		sender Sender
		fields []string
	}{
		"secret":    {Sender{Secrets: ParseSecrets(current + "," + older)}, []string{"x-interactly-secret", current}},
		"signature": {Sender{Signing: ParseSecrets(current)}, []string{"x-interactly-signature", oursHex, "x-interactly-timestamp", "1"}},
	} {
		b.Run(fmt.Sprintf("%s %dkB", name, len(body)/1000), func(b *testing.B) {
			r := request(c.fields...)
			r.Body = body
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.sender.verify(r.Header, r.Body, time.Unix(signedAt, 0))
			}
		})
	}
}
