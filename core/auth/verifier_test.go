package auth

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

// A sentRequest is the part of a request that a Verifier reads.
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
		one      = Verifier{Secrets: ParseSecrets(current)}
		two      = Verifier{Secrets: ParseSecrets(current + "," + older)}
		own      = Verifier{Secrets: ParseSecrets(current), SecretHeaders: []string{"X-Office"}}
		signing  = Verifier{SigningSecrets: ParseSecrets(current + "," + older)}
		hooks    = Verifier{StandardWebhooksSecrets: ParseSecrets(whsec + "," + olderSec)}
		all      = Verifier{Secrets: ParseSecrets(current), SigningSecrets: ParseSecrets(current), StandardWebhooksSecrets: ParseSecrets(whsec)}
		anyone   = Verifier{AllowUnauthenticated: true}
		both     = Verifier{AllowUnauthenticated: true, Secrets: ParseSecrets(current)}
		empty    = Verifier{Secrets: []Secret{{}}}
		sig, at  = "X-Interactly-Signature", "X-Interactly-Timestamp"
		id, when = "webhook-id", "webhook-timestamp"
		hook     = "webhook-signature"
		now      = strconv.Itoa(signedAt)
	)
	for _, c := range []struct {
		rule   string
		sender Verifier
		fields []string
		want   string
		err    error
	}{
		{"the documented header", one, []string{"X-Interactly-Secret", current}, "secret 1 of 1", nil},
		{"its name in any case", one, []string{"x-iNTERACTLY-secret", current}, "secret 1 of 1", nil},
		{"the dashboard's spelling", one, []string{"X-INTERACTLY.AI-SECRET", current}, "secret 1 of 1", nil},
		{"the older dialect's", one, []string{"x-vapi-secret", current}, "secret 1 of 1", nil},
		{"a bearer", one, []string{"authorization", "Bearer " + current}, "secret 1 of 1", nil},
		{"a bearer in lower case", one, []string{"authorization", "bearer  " + current}, "secret 1 of 1", nil},
		{"a configured name", own, []string{"x-office", current}, "secret 1 of 1", nil},
		{"a default name, if one is configured", own, []string{"x-interactly-secret", current}, "", ErrUnauthenticated},
		{"the second in rotation", two, []string{"x-interactly-secret", older}, "secret 2 of 2", nil},
		{"the first in rotation", two, []string{"x-interactly-secret", current}, "secret 1 of 2", nil},
		{"the same value twice", one, []string{"x-interactly-secret", current, "X-Interactly-Secret", current}, "secret 1 of 1", nil},
		{"a platform's own credential as well", one, []string{"x-interactly-secret", current, "Authorization", "Bearer somebody-elses"}, "secret 1 of 1", nil},
		{"one valid, one invalid header", one, []string{"x-interactly-secret", "x", "x-vapi-secret", current}, "secret 1 of 1", nil},

		{"no header", one, nil, "", ErrUnauthenticated},
		{"an empty header", one, []string{"x-interactly-secret", ""}, "", ErrUnauthenticated},
		{"a wrong secret", one, []string{"x-interactly-secret", older}, "", ErrUnauthenticated},
		{"a part of the secret", one, []string{"x-interactly-secret", current[:31]}, "", ErrUnauthenticated},
		{"more than the secret", one, []string{"x-interactly-secret", current + "0"}, "", ErrUnauthenticated},
		{"another case of it", one, []string{"x-interactly-secret", strings.ToUpper(current)}, "", ErrUnauthenticated},
		{"both in one", two, []string{"x-interactly-secret", current + ", " + older}, "", ErrUnauthenticated},
		{"two different values", two, []string{"x-interactly-secret", current, "X-Interactly-Secret", older}, "", ErrUnauthenticated},
		{"two different bearers", one, []string{"Authorization", "Bearer " + current, "authorization", "Bearer x"}, "", ErrUnauthenticated},
		{"another scheme", one, []string{"Authorization", "Basic " + current}, "", ErrUnauthenticated},
		{"no scheme", one, []string{"Authorization", current}, "", ErrUnauthenticated},
		{"another header", one, []string{"x-secret", current}, "", ErrUnauthenticated},
		{"the zero Verifier", Verifier{}, []string{"x-interactly-secret", ""}, "", ErrUnauthenticated},
		{"an empty secret does not match an empty field", empty, []string{"x-interactly-secret", ""}, "", ErrUnauthenticated},
		{"an empty secret does not match an empty bearer", empty, []string{"authorization", "Bearer "}, "", ErrUnauthenticated},
		{"a signing secret in plaintext", signing, []string{"x-interactly-secret", current}, "", ErrUnauthenticated},
		{"anyone", anyone, nil, "anyone", nil},
		{"anyone, but a secret is configured", both, nil, "", ErrUnauthenticated},

		{"a signature", signing, []string{sig, oursHex, at, now}, "signing secret 1 of 2", nil},
		{"a signature of the older key", signing, []string{sig, olderHex, at, now}, "signing secret 2 of 2", nil},
		{"a signature in upper case", signing, []string{sig, strings.ToUpper(oursHex), at, now}, "", ErrUnauthenticated},
		{"a signature with a prefix", signing, []string{sig, "sha256=" + oursHex, at, now}, "", ErrUnauthenticated},
		{"a signature without a time", signing, []string{sig, oursHex}, "", ErrUnauthenticated},
		{"a signature with half a time", signing, []string{sig, oursHex, at, now + ".5"}, "", ErrUnauthenticated},
		{"a signature with a signed time", signing, []string{sig, oursHex, at, "+" + now}, "", ErrUnauthenticated},
		{"a signature with a time in ms", signing, []string{sig, oursHex, at, now + "000"}, "", ErrUnauthenticated},
		{"a signature with two times", signing, []string{sig, oursHex, at, now, "x-interactly-timestamp", "1"}, "", ErrUnauthenticated},
		{"an empty signature", signing, []string{sig, "", at, now}, "", ErrUnauthenticated},
		{"a valid secret, an invalid signature", all, []string{"x-interactly-secret", current, sig, olderHex, at, now}, "", ErrUnauthenticated},
		{"a valid secret, an old signature", all, []string{"x-interactly-secret", current, sig, oursHex, at, "1784040000"}, "", ErrStaleTimestamp},
		{"an invalid secret, a valid signature", all, []string{"x-interactly-secret", older, sig, oursHex, at, now}, "signing secret 1 of 1", nil},
		{"signatures are ignored if no key is configured", one, []string{"x-interactly-secret", current, sig, "x", hook, "v1,x"}, "secret 1 of 1", nil},
		{"an invalid signature with an old time", signing, []string{sig, oursHex[1:] + "0", at, "1"}, "", ErrUnauthenticated},

		{"a webhook", hooks, []string{id, "msg_1", when, now, hook, "v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"a webhook of the older key", hooks, []string{id, "msg_1", when, now, hook, "v1," + olderSecBase}, "webhook secret 2 of 2", nil},
		{"one of several signatures", hooks, []string{id, "msg_1", when, now, hook, "v1,eA== v1a,eA== v2,x v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"eight signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 7) + "v1," + whsecBase}, "webhook secret 1 of 2", nil},
		{"nine signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 8) + "v1," + whsecBase}, "", ErrUnauthenticated},
		{"a thousand signatures", hooks, []string{id, "msg_1", when, now, hook, strings.Repeat("v1,eA== ", 999) + "v1," + whsecBase}, "", ErrUnauthenticated},
		{"only unknown versions", hooks, []string{id, "msg_1", when, now, hook, "v1a," + whsecBase + " v2," + whsecBase}, "", ErrUnauthenticated},
		{"no version", hooks, []string{id, "msg_1", when, now, hook, whsecBase}, "", ErrUnauthenticated},
		{"another id", hooks, []string{id, "msg_2", when, now, hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"no id", hooks, []string{when, now, hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"another time", hooks, []string{id, "msg_1", when, "1784044946", hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"no time", hooks, []string{id, "msg_1", hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"the signed text split differently", hooks, []string{id, "msg_1." + now, when, "", hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"two different ids", hooks, []string{id, "msg_1", "Webhook-Id", "msg_2", when, now, hook, "v1," + whsecBase}, "", ErrUnauthenticated},
		{"a valid secret, an invalid webhook", all, []string{"x-interactly-secret", current, id, "msg_1", when, now, hook, "v1," + olderSecBase}, "", ErrUnauthenticated},

		{"a hundred fields", one, append([]string{"x-interactly-secret", current}, slices.Repeat([]string{"a", ""}, 99)...), "secret 1 of 1", nil},
		{"a hundred and one", one, append([]string{"x-interactly-secret", current}, slices.Repeat([]string{"a", ""}, 100)...), "", ErrHeaderTooLarge},
		{"16 kB", one, []string{"x-interactly-secret", current, "a", strings.Repeat("a", 16<<10-len(current)-20)}, "secret 1 of 1", nil},
		{"more than 16 kB", one, []string{"x-interactly-secret", current, "a", strings.Repeat("a", 16<<10-len(current)-19)}, "", ErrHeaderTooLarge},
	} {
		t.Run(c.rule, func(t *testing.T) {
			r := request(c.fields...)
			got, err := c.sender.Verify(r.Header, r.Body, time.Unix(signedAt, 0))
			if got.Matched != c.want || err != c.err {
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
		s := Verifier{SigningSecrets: ParseSecrets(current), StandardWebhooksSecrets: ParseSecrets(whsec), ClockSkew: tolerance}
		limit := tolerance
		if limit == 0 {
			limit = 5 * time.Minute
		}
		for off, want := range map[time.Duration]error{
			0: nil, limit - time.Second: nil, limit: nil, limit + time.Nanosecond: ErrStaleTimestamp, limit + time.Second: ErrStaleTimestamp,
			time.Second - limit: nil, -limit: nil, -limit - time.Second: ErrStaleTimestamp, 9000 * time.Hour: ErrStaleTimestamp,
		} {
			now := time.Unix(signedAt, 0).Add(off)
			at := strconv.Itoa(signedAt)
			if _, err := s.Verify(request("X-Interactly-Signature", oursHex, "X-Interactly-Timestamp", at).Header, []byte(signedBody), now); err != want {
				t.Errorf("signature, tolerance %v, off by %v: got %v, want %v", limit, off, err, want)
			}
			if _, err := s.Verify(request("webhook-id", "msg_1", "webhook-timestamp", at, "webhook-signature", "v1,"+whsecBase).Header, []byte(signedBody), now); err != want {
				t.Errorf("webhook, tolerance %v, off by %v: got %v, want %v", limit, off, err, want)
			}
		}
	}
}

// TestVerifyRejectsMutations changes one thing of a request that is right
// (K1). A body, a header or a signature that was changed is never accepted.
func TestVerifyRejectsMutations(t *testing.T) {
	s := Verifier{Secrets: ParseSecrets(current), SigningSecrets: ParseSecrets(current), StandardWebhooksSecrets: ParseSecrets(whsec)}
	at := strconv.Itoa(signedAt)
	ways := [][]string{
		{"x-interactly-secret", current},
		{"x-interactly-signature", oursHex, "x-interactly-timestamp", at},
		{"webhook-signature", "v1," + whsecBase, "webhook-id", "msg_1", "webhook-timestamp", at},
	}
	rapid.Check(t, func(t *rapid.T) {
		way := rapid.IntRange(0, 2).Draw(t, "way")
		r := request(ways[way]...)
		if _, err := s.Verify(r.Header, r.Body, time.Unix(signedAt, 0)); err != nil {
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
		if m, err := s.Verify(r.Header, r.Body, time.Unix(signedAt, 0)); err == nil {
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

// TestVerifyMatchesReference asks the reference library of Standard
// Webhooks about the same requests.
func TestVerifyMatchesReference(t *testing.T) {
	reference, err := standard.NewWebhook(whsec)
	if err != nil {
		t.Fatal(err)
	}
	s := Verifier{StandardWebhooksSecrets: ParseSecrets(whsec)}
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
		if _, got := s.Verify(r.Header, r.Body, now); (got == nil) != (want == nil) {
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

// TestVerifySplitsUnambiguously holds that a signed message cannot be read as another
// one, with the full stops between its parts at other places.
func TestVerifySplitsUnambiguously(t *testing.T) {
	reference, err := standard.NewWebhook(whsec)
	if err != nil {
		t.Fatal(err)
	}
	sig, err := reference.Sign("msg_1", time.Unix(1, 0), []byte("1784044945."+signedBody))
	if err != nil {
		t.Fatal(err)
	}
	s := Verifier{StandardWebhooksSecrets: ParseSecrets(whsec)}
	r := request("webhook-id", "msg_1.1", "webhook-timestamp", "1784044945", "webhook-signature", sig)
	if _, err := s.Verify(r.Header, r.Body, time.Unix(signedAt, 0)); err != ErrUnauthenticated {
		t.Errorf("an old message is accepted as a new one: %v", err)
	}
}

func TestVerifyDoesNotCopyTheBody(t *testing.T) {
	s := Verifier{SigningSecrets: ParseSecrets(current)}
	r := request("X-Interactly-Signature", oursHex, "X-Interactly-Timestamp", "1")
	r.Body = make([]byte, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, _ = s.Verify(r.Header, r.Body, time.Unix(signedAt, 0))
	runtime.ReadMemStats(&after)
	if n := after.TotalAlloc - before.TotalAlloc; n > 64<<10 {
		t.Errorf("%d bytes allocated for a body of 1 MiB", n)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		rule   string
		sender Verifier
		want   error  // nil with say: any error
		say    string // in the message
	}{
		{"a good secret", Verifier{Secrets: ParseSecrets(current)}, nil, ""},
		{"only signatures", Verifier{SigningSecrets: ParseSecrets(current)}, nil, ""},
		{"only webhooks", Verifier{StandardWebhooksSecrets: ParseSecrets(whsec)}, nil, ""},
		{"anyone", Verifier{AllowUnauthenticated: true}, nil, ""},
		{"anyone with a weak one", Verifier{AllowUnauthenticated: true, Secrets: ParseSecrets("dev")}, nil, ""},
		{"nothing", Verifier{}, ErrNoSecret, "SERVERURL_SECRET"},
		{"nothing: what to type", Verifier{}, ErrNoSecret, "openssl rand -hex 32"},
		{"a weak one among good ones", Verifier{Secrets: ParseSecrets(current + ",hunter2")}, ErrWeakSecret, "secret 2 of 2"},
		{"a weak signing key", Verifier{SigningSecrets: ParseSecrets("hunter2")}, ErrWeakSecret, "signing secret 1 of 1"},
		{"an empty one", Verifier{Secrets: []Secret{{}}}, ErrWeakSecret, "secret 1 of 1"},
		{"a webhook key without whsec_", Verifier{StandardWebhooksSecrets: ParseSecrets(current)}, errStandardKey, "whsec_"},
		{"a webhook key of 23 bytes", Verifier{StandardWebhooksSecrets: ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 23)))}, errStandardKey, "24"},
		{"a webhook key of 65 bytes", Verifier{StandardWebhooksSecrets: ParseSecrets("whsec_" + base64.StdEncoding.EncodeToString(make([]byte, 65)))}, errStandardKey, "64"},
		{"a clock skew that is too short", Verifier{Secrets: ParseSecrets(current), ClockSkew: 29 * time.Second}, nil, "30s"},
		{"a clock skew that is too long", Verifier{Secrets: ParseSecrets(current), ClockSkew: 16 * time.Minute}, nil, "15m"},
	} {
		err := c.sender.Validate()
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
	a, b, none := Verifier{Secrets: ParseSecrets(current + "," + older)}, Verifier{Secrets: ParseSecrets(current)}, Verifier{AllowUnauthenticated: true}
	if a.LogKey() != b.LogKey() {
		t.Error("instances in the middle of a rotation log different tags")
	}
	if a.LogKey() == none.LogKey() {
		t.Error("the key does not depend on the secret")
	}
	if n := len((&Verifier{Secrets: a.Secrets, SigningSecrets: b.Secrets, StandardWebhooksSecrets: ParseSecrets(whsec)}).secrets()); n != 4 {
		t.Errorf("%d secrets are masked, want 4", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(`{"message":{"type":"conversation-update","messages":["` + strings.Repeat("a", 200_000) + `"]}}`)
	for name, c := range map[string]struct {
		sender Verifier
		fields []string
	}{
		"secret":    {Verifier{Secrets: ParseSecrets(current + "," + older)}, []string{"x-interactly-secret", current}},
		"signature": {Verifier{SigningSecrets: ParseSecrets(current)}, []string{"x-interactly-signature", oursHex, "x-interactly-timestamp", "1"}},
	} {
		b.Run(fmt.Sprintf("%s %dkB", name, len(body)/1000), func(b *testing.B) {
			r := request(c.fields...)
			r.Body = body
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.sender.Verify(r.Header, r.Body, time.Unix(signedAt, 0))
			}
		})
	}
}

// The sender of a request is the tenant whose secret it has, by whatever proof; one
// with the proofs of two is nobody.
func TestVerifyTenant(t *testing.T) {
	const south = "0d7e2b91c4f8a6355e8091d2c7ba43f6"
	named := func(name, secret string) []Secret { return []Secret{NamedSecret(name, secret)} }
	v := Verifier{Secrets: ParseSecrets("south:" + south), SigningSecrets: named("north", current), StandardWebhooksSecrets: named("north", whsec)}
	if err := v.Validate(); err != nil {
		t.Fatal(err)
	}
	at := strconv.Itoa(signedAt)
	ours := []string{"X-Interactly-Signature", oursHex, "X-Interactly-Timestamp", at}
	theirs := []string{"webhook-id", "msg_1", "webhook-timestamp", at, "webhook-signature", "v1," + whsecBase}
	secret := []string{"X-Interactly-Secret", south}
	for _, c := range []struct {
		header []string
		want   Sender
		err    error
	}{
		{secret, Sender{"south", "secret 1 of 1"}, nil},
		{ours, Sender{"north", "signing secret 1 of 1"}, nil},
		{theirs, Sender{"north", "webhook secret 1 of 1"}, nil},
		{slices.Concat(ours, theirs), Sender{"north", "signing secret 1 of 1"}, nil},
		{slices.Concat(secret, ours), Sender{}, ErrUnauthenticated},
		{slices.Concat(secret, theirs), Sender{}, ErrUnauthenticated},
	} {
		got, err := v.Verify(request(c.header...).Header, []byte(signedBody), time.Unix(signedAt, 0))
		if got != c.want || !errors.Is(err, c.err) {
			t.Errorf("%q: %+v, %v; want %+v, %v", c.header, got, err, c.want, c.err)
		}
	}
}

func TestNamesOfSecrets(t *testing.T) {
	const a, b = "5f1d0c9a7b3e48d2a6c4e8f0b1d3957a", "0d7e2b91c4f8a6355e8091d2c7ba43f6"
	for _, c := range []struct {
		secrets string
		tenants string
		fails   string // a part of the error
	}{
		{a + "," + b, "", ""},
		{"north:" + a + ",south:" + b, "north south", ""},
		{" north: " + a + " , north:" + b, "north", ""},
		{"north:" + a + "," + b, "north", "1 of 2 secrets have a name"},
		{"North:" + a, "", ""}, // a capital is of a secret
		{"north:", "", "no secret"},
		{"north:short", "north", "weak"},
		{"north:" + a + ",south:" + a, "north south", "north and south have the same secret"},
	} {
		v := Verifier{Secrets: ParseSecrets(c.secrets)}
		if got := strings.Join(v.Tenants(), " "); got != c.tenants {
			t.Errorf("%q: tenants %q, want %q", c.secrets, got, c.tenants)
		}
		if err := v.Validate(); (err == nil) != (c.fails == "") || err != nil && !strings.Contains(err.Error(), c.fails) {
			t.Errorf("%q: %v, want %q", c.secrets, err, c.fails)
		}
	}
	v := Verifier{Secrets: []Secret{NamedSecret("north/1", a)}}
	if err := v.Validate(); err == nil || !strings.Contains(err.Error(), `"north/1"`) {
		t.Errorf("a name with a slash: %v", err)
	}
}
