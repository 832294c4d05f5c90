package core

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Header fields of the ways in which a sender proves itself.
const (
	signatureHeader = "X-Interactly-Signature" // docs/events.md#authentication
	signatureTime   = "X-Interactly-Timestamp"

	standardID        = "Webhook-Id" // docs/events.md#authentication
	standardTime      = "Webhook-Timestamp"
	standardSignature = "Webhook-Signature"
	standardPrefix    = "whsec_"
)

// secretHeaders may carry the secret as it is. Interactly's documents name the
// first, its dashboard the second (docs/events.md#authentication); the third
// comes with the older dialect, which is accepted too (docs/tools.md#dialects).
var secretHeaders = []string{"X-Interactly-Secret", "X-Interactly.ai-Secret", "X-Vapi-Secret"}

// Limits on what is looked at before anybody is trusted.
const (
	maxHeaderBytes  = 16 << 10 // of all names and values
	maxHeaderFields = 100
	maxSignatures   = 8 // Standard Webhooks sends one per secret in rotation
)

// DefaultTolerance is how far a signature's time may be from ours, the figure
// of Interactly and of Standard Webhooks.
const DefaultTolerance = 5 * time.Minute

// ErrNoSecret reports a [Sender] with which everybody could send.
var ErrNoSecret = errors.New("core: no secret is set")

// What a request is refused for. A stranger is told none of it.
var (
	errUnauthenticated = errors.New("core: sender is not authenticated")
	errStaleTimestamp  = errors.New("core: signature is right, its time is not") // many of these: our clock is wrong
	errHeaderSize      = errors.New("core: header is too large")
)

// A Sender says who may send. The zero Sender is nobody.
//
// Any one of the configured ways is enough. But a signature that is there and
// is wrong refuses the request, whatever else is right: somebody changed it on
// the way. Where only signatures should count, set no Secrets.
//
// In each list any one secret is enough, so that a new one can be added before
// the old one goes (docs/events.md#authentication).
type Sender struct {
	// Secrets are accepted in Headers as they are, and as Authorization: Bearer.
	Secrets []Secret

	// Headers are the names of the fields that may carry a secret. Default:
	// X-Interactly-Secret, X-Interactly.ai-Secret and X-Vapi-Secret. A wrong value in one
	// of them does no harm when another is right: platforms put their own
	// credentials into Authorization.
	Headers []string

	// Signing are the keys of X-Interactly-Signature: HMAC-SHA256 of the raw body in
	// lower-case hex, with X-Interactly-Timestamp in Unix seconds
	// (docs/events.md#authentication).
	Signing []Secret

	// StandardWebhooks are "whsec_" and the key in base64, as the
	// Standard Webhooks specification has it; version v1.
	StandardWebhooks []Secret

	// Tolerance is how far the time of a signature may be from ours, in both
	// directions, 30 s to 15 min. Default: [DefaultTolerance].
	Tolerance time.Duration

	// Anyone lets everybody in while no secret is set, and lets weak ones
	// pass. It is for development: a room that listens refuses it on any
	// address but loopback.
	Anyone bool
}

// check is asked at start. Its errors are for the operator.
func (s *Sender) check() error {
	if s.Tolerance != 0 && (s.Tolerance < 30*time.Second || s.Tolerance > 15*time.Minute) {
		return errors.New("core: tolerance of signatures must be between 30s and 15m")
	}
	for i, k := range s.StandardWebhooks {
		if _, err := standardKey(k); err != nil {
			return fmt.Errorf("core: %s: %w", ordinal("webhook", i, len(s.StandardWebhooks)), err)
		}
	}
	if s.Anyone {
		return nil
	}
	if !s.configured() {
		return fmt.Errorf("%w, so anybody could send; set SERVERURL_SECRET to what the assistant's server settings hold, "+
			"new: openssl rand -hex 32", ErrNoSecret)
	}
	var all []error
	for _, list := range []struct {
		name    string
		secrets []Secret
	}{{"secret", s.Secrets}, {"signing secret", s.Signing}, {"webhook secret", s.StandardWebhooks}} {
		for i, k := range list.secrets {
			if err := k.Weak(); err != nil {
				all = append(all, fmt.Errorf("%s: %w", ordinal(list.name, i, len(list.secrets)), err))
			}
		}
	}
	return errors.Join(all...)
}

func (s *Sender) configured() bool { return s.Count() > 0 }

func ordinal(what string, i, n int) string { return fmt.Sprintf("%s %d of %d", what, i+1, n) }

// secrets returns every configured secret.
func (s *Sender) secrets() []Secret { return slices.Concat(s.Secrets, s.Signing, s.StandardWebhooks) }

// Count returns how many secrets are configured: more than one while they
// rotate.
func (s *Sender) Count() int { return len(s.Secrets) + len(s.Signing) + len(s.StandardWebhooks) }

// Redact returns body without the configured secrets and without the
// credentials that payloads repeat (docs/events.md#secrets). It returns body
// itself if there is nothing to redact; otherwise it writes to dst[:0].
func (s *Sender) Redact(dst, body []byte) []byte {
	all := s.secrets()
	plain := make([]string, len(all))
	for i, k := range all {
		plain[i] = strings.TrimPrefix(k.reveal(), standardPrefix) // the prefix is no secret, and may be left out
	}
	return mask(dst, body, plain)
}

// logKey returns the key of the tags that stand for ids in logs. It comes from
// the first secret, so that all instances log a call under the same tag.
func (s *Sender) logKey() [sha256.Size]byte {
	first := ""
	if all := s.secrets(); len(all) > 0 {
		first = all[0].reveal()
	}
	return sha256.Sum256([]byte("serverurl log tags\x00" + first))
}

// verify returns which secret the sender has proved to know: "secret 2 of 2".
// Its error is errUnauthenticated, errStaleTimestamp or errHeaderSize.
func (s *Sender) verify(h Header, body []byte, now time.Time) (matched string, err error) {
	if tooMuchHeader(h) {
		return "", errHeaderSize
	}
	for _, way := range []func(Header, []byte, time.Time) (string, error){s.verifySecret, s.verifySigned, s.verifyStandard} {
		m, err := way(h, body, now)
		if err != nil {
			return "", err
		}
		if matched == "" {
			matched = m
		}
	}
	switch {
	case matched != "":
		return matched, nil
	case s.Anyone && !s.configured():
		return "anyone", nil
	}
	return "", errUnauthenticated
}

// verifyHead refuses who cannot be a sender whatever the body is: so no body of
// a stranger's has to be read, unless a signature over it is to be checked.
func (s *Sender) verifyHead(h Header) error {
	switch {
	case tooMuchHeader(h):
		return errHeaderSize
	case s.Anyone && !s.configured(),
		len(s.Signing) > 0 && len(h.Values(signatureHeader)) > 0,
		len(s.StandardWebhooks) > 0 && len(h.Values(standardSignature)) > 0:
		return nil
	}
	matched, err := s.verifySecret(h, nil, time.Time{})
	if err == nil && matched == "" {
		err = errUnauthenticated
	}
	return err
}

func tooMuchHeader(h Header) bool {
	fields, size := 0, 0
	for name, values := range h {
		for _, v := range values {
			fields++
			size += len(name) + len(v)
		}
	}
	return fields > maxHeaderFields || size > maxHeaderBytes
}

// only returns the value of a field. A field that is there twice with
// different values is an attempt to show two readers different things.
func only(h Header, name string) (string, error) {
	vs := h.Values(name)
	if len(vs) == 0 {
		return "", nil
	}
	for _, v := range vs[1:] {
		if v != vs[0] {
			return "", errUnauthenticated
		}
	}
	return strings.Trim(vs[0], " \t"), nil
}

// verifySecret looks for a secret in the header fields. All pairs are
// compared, by their hashes: the time taken tells neither length nor place.
func (s *Sender) verifySecret(h Header, _ []byte, _ time.Time) (string, error) {
	if len(s.Secrets) == 0 {
		return "", nil
	}
	names := s.Headers
	if len(names) == 0 {
		names = secretHeaders
	}
	hit := -1
	try := func(got string) {
		if got == "" { // else an empty secret would match
			return
		}
		sum := sha256.Sum256([]byte(got))
		for i, k := range s.Secrets {
			want := sha256.Sum256([]byte(k.reveal()))
			hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], want[:]), i, hit)
		}
	}
	for _, name := range names {
		got, err := only(h, name)
		if err != nil {
			return "", err
		}
		try(got)
	}
	auth, err := only(h, "Authorization")
	if err != nil {
		return "", err
	}
	if scheme, token, ok := strings.Cut(auth, " "); ok && strings.EqualFold(scheme, "Bearer") {
		try(strings.Trim(token, " "))
	}
	if hit < 0 {
		return "", nil
	}
	return ordinal("secret", hit, len(s.Secrets)), nil
}

// verifySigned checks X-Interactly-Signature where it is there. Its time is
// not part of what is signed, so this keeps out the old, not the forged.
func (s *Sender) verifySigned(h Header, body []byte, now time.Time) (string, error) {
	if len(s.Signing) == 0 || len(h.Values(signatureHeader)) == 0 {
		return "", nil
	}
	sig, err1 := only(h, signatureHeader)
	at, err2 := only(h, signatureTime)
	if err1 != nil || err2 != nil {
		return "", errUnauthenticated
	}
	hit := -1
	for i, k := range s.Signing {
		if k.IsZero() {
			continue
		}
		mac := hmac.New(sha256.New, []byte(k.reveal()))
		mac.Write(body)
		want := hex.AppendEncode(nil, mac.Sum(nil))
		hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want, []byte(sig)), i, hit)
	}
	if hit < 0 {
		return "", errUnauthenticated
	}
	if err := s.fresh(at, now); err != nil {
		return "", err
	}
	return ordinal("signing secret", hit, len(s.Signing)), nil
}

// verifyStandard checks a Standard Webhooks signature where it is there.
// Versions that we do not know are skipped; one right signature is enough.
func (s *Sender) verifyStandard(h Header, body []byte, now time.Time) (string, error) {
	if len(s.StandardWebhooks) == 0 || len(h.Values(standardSignature)) == 0 {
		return "", nil
	}
	id, err1 := only(h, standardID)
	at, err2 := only(h, standardTime)
	sigs, err3 := only(h, standardSignature)
	// A full stop in the id would let the parts be cut elsewhere.
	if err1 != nil || err2 != nil || err3 != nil || id == "" || strings.Contains(id, ".") ||
		strings.Count(sigs, " ") >= maxSignatures {
		return "", errUnauthenticated
	}
	hit := -1
	for i, k := range s.StandardWebhooks {
		key, err := standardKey(k)
		if err != nil {
			continue
		}
		mac := hmac.New(sha256.New, key)
		writeStrings(mac, id, ".", at, ".")
		mac.Write(body)
		want := base64.StdEncoding.AppendEncode(nil, mac.Sum(nil))
		for sig := range strings.SplitSeq(sigs, " ") {
			if version, value, _ := strings.Cut(sig, ","); version == "v1" {
				hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want, []byte(value)), i, hit)
			}
		}
	}
	if hit < 0 {
		return "", errUnauthenticated
	}
	if err := s.fresh(at, now); err != nil {
		return "", err
	}
	return ordinal("webhook secret", hit, len(s.StandardWebhooks)), nil
}

func writeStrings(h hash.Hash, parts ...string) {
	for _, p := range parts {
		_, _ = io.WriteString(h, p)
	}
}

var errStandardKey = errors.New(`a Standard Webhooks secret is "whsec_" and base64 of 24 to 64 bytes; ` +
	`make one with: echo "whsec_$(openssl rand -base64 32)"`)

// standardKey returns the key in a "whsec_" secret.
func standardKey(s Secret) ([]byte, error) {
	text, ok := strings.CutPrefix(s.reveal(), standardPrefix)
	key, err := base64.StdEncoding.DecodeString(text)
	if !ok || err != nil || len(key) < MinSecret || len(key) > 64 {
		return nil, errStandardKey
	}
	return key, nil
}

// fresh checks a time in Unix seconds, plain digits, against ours. It is asked
// only about requests whose signature is right.
func (s *Sender) fresh(at string, now time.Time) error {
	tolerance := s.Tolerance
	if tolerance == 0 {
		tolerance = DefaultTolerance
	}
	if len(at) == 0 || len(at) > 12 || strings.Trim(at, "0123456789") != "" {
		return errUnauthenticated
	}
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return errUnauthenticated
	}
	if d := now.Sub(time.Unix(sec, 0)); d > tolerance || d < -tolerance {
		return errStaleTimestamp
	}
	return nil
}
