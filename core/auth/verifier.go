package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/serverurl/serverurl/internal/redact"
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

// DefaultClockSkew is how far a signature's time may be from ours, the figure
// of Interactly and of Standard Webhooks.
const DefaultClockSkew = 5 * time.Minute

// ErrNoSecret reports a [Verifier] with which everybody could send.
var ErrNoSecret = errors.New("core: no secret is set")

// What a request is refused for. A stranger is told none of it.
var (
	ErrUnauthenticated = errors.New("core: sender is not authenticated")
	ErrStaleTimestamp  = errors.New("core: signature is right, its time is not") // many of these: our clock is wrong
	ErrHeaderTooLarge  = errors.New("core: header is too large")
)

// A Verifier says who may send. The zero Verifier is nobody.
//
// Any one of the configured ways is enough. But a signature that is there and
// is wrong refuses the request, whatever else is right: somebody changed it on
// the way. Where only signatures should count, set no Secrets.
//
// In each list any one secret is enough, so that a new one can be added before
// the old one goes (docs/events.md#authentication).
type Verifier struct {
	// Secrets are accepted in Headers as they are, and as Authorization: Bearer.
	Secrets []Secret

	// SecretHeaders are the names of the fields that may carry a secret. Default:
	// X-Interactly-Secret, X-Interactly.ai-Secret and X-Vapi-Secret. A wrong value in one
	// of them does no harm when another is right: platforms put their own
	// credentials into Authorization.
	SecretHeaders []string

	// SigningSecrets are the keys of X-Interactly-Signature: HMAC-SHA256 of the raw body in
	// lower-case hex, with X-Interactly-Timestamp in Unix seconds
	// (docs/events.md#authentication).
	SigningSecrets []Secret

	// StandardWebhooksSecrets are "whsec_" and the key in base64, as the
	// Standard Webhooks specification has it; version v1.
	StandardWebhooksSecrets []Secret

	// ClockSkew is how far the time of a signature may be from ours, in both
	// directions, 30 s to 15 min. Default: [DefaultClockSkew].
	ClockSkew time.Duration

	// AllowUnauthenticated lets everybody in while no secret is set, and lets weak ones
	// pass. It is for development: a room that listens refuses it on any
	// address but loopback.
	AllowUnauthenticated bool
}

// Validate is asked at start. Its errors are for the operator.
func (s *Verifier) Validate() error {
	if s.ClockSkew != 0 && (s.ClockSkew < 30*time.Second || s.ClockSkew > 15*time.Minute) {
		return errors.New("core: tolerance of signatures must be between 30s and 15m")
	}
	for i, k := range s.StandardWebhooksSecrets {
		if _, err := standardKey(k); err != nil {
			return fmt.Errorf("core: %s: %w", ordinal("webhook", i, len(s.StandardWebhooksSecrets)), err)
		}
	}
	if s.AllowUnauthenticated {
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
	}{{"secret", s.Secrets}, {"signing secret", s.SigningSecrets}, {"webhook secret", s.StandardWebhooksSecrets}} {
		for i, k := range list.secrets {
			if err := k.Validate(); err != nil {
				all = append(all, fmt.Errorf("%s: %w", ordinal(list.name, i, len(list.secrets)), err))
			}
		}
	}
	return errors.Join(all...)
}

func (s *Verifier) configured() bool { return s.Count() > 0 }

func ordinal(what string, i, n int) string { return fmt.Sprintf("%s %d of %d", what, i+1, n) }

// secrets returns every configured secret.
func (s *Verifier) secrets() []Secret {
	return slices.Concat(s.Secrets, s.SigningSecrets, s.StandardWebhooksSecrets)
}

// Count returns how many secrets are configured: more than one while they
// rotate.
func (s *Verifier) Count() int {
	return len(s.Secrets) + len(s.SigningSecrets) + len(s.StandardWebhooksSecrets)
}

// Redact returns body without the configured secrets and without the
// credentials that payloads repeat (docs/events.md#secrets). It returns body
// itself if there is nothing to redact; otherwise it writes to dst[:0].
func (s *Verifier) Redact(dst, body []byte) []byte {
	all := s.secrets()
	plain := make([]string, len(all))
	for i, k := range all {
		plain[i] = strings.TrimPrefix(k.reveal(), standardPrefix) // the prefix is no secret, and may be left out
	}
	return redact.JSON(dst, body, plain)
}

// LogKey returns the key of the tags that stand for ids in logs. It comes from
// the first secret, so that all instances log a call under the same tag.
func (s *Verifier) LogKey() [sha256.Size]byte {
	first := ""
	if all := s.secrets(); len(all) > 0 {
		first = all[0].reveal()
	}
	return sha256.Sum256([]byte("serverurl log tags\x00" + first))
}

// Verify returns which secret the sender has proved to know: "secret 2 of 2".
// Its error is errUnauthenticated, errStaleTimestamp or errHeaderSize.
func (s *Verifier) Verify(h Header, body []byte, now time.Time) (matched string, err error) {
	if headerTooLarge(h) {
		return "", ErrHeaderTooLarge
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
	case s.AllowUnauthenticated && !s.configured():
		return "anyone", nil
	}
	return "", ErrUnauthenticated
}

// VerifyHead refuses who cannot be a sender whatever the body is: so no body of
// a stranger's has to be read, unless a signature over it is to be checked.
func (s *Verifier) VerifyHead(h Header) error {
	switch {
	case headerTooLarge(h):
		return ErrHeaderTooLarge
	case s.AllowUnauthenticated && !s.configured(),
		len(s.SigningSecrets) > 0 && len(h.Values(signatureHeader)) > 0,
		len(s.StandardWebhooksSecrets) > 0 && len(h.Values(standardSignature)) > 0:
		return nil
	}
	matched, err := s.verifySecret(h, nil, time.Time{})
	if err == nil && matched == "" {
		err = ErrUnauthenticated
	}
	return err
}

func headerTooLarge(h Header) bool {
	fields, size := 0, 0
	for name, values := range h {
		for _, v := range values {
			fields++
			size += len(name) + len(v)
		}
	}
	return fields > maxHeaderFields || size > maxHeaderBytes
}

// singleHeader returns the value of a field. A field that is there twice with
// different values is an attempt to show two readers different things.
func singleHeader(h Header, name string) (string, error) {
	vs := h.Values(name)
	if len(vs) == 0 {
		return "", nil
	}
	for _, v := range vs[1:] {
		if v != vs[0] {
			return "", ErrUnauthenticated
		}
	}
	return strings.Trim(vs[0], " \t"), nil
}

// verifySecret looks for a secret in the header fields. All pairs are
// compared, by their hashes: the time taken tells neither length nor place.
func (s *Verifier) verifySecret(h Header, _ []byte, _ time.Time) (string, error) {
	if len(s.Secrets) == 0 {
		return "", nil
	}
	names := s.SecretHeaders
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
		got, err := singleHeader(h, name)
		if err != nil {
			return "", err
		}
		try(got)
	}
	auth, err := singleHeader(h, "Authorization")
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
func (s *Verifier) verifySigned(h Header, body []byte, now time.Time) (string, error) {
	if len(s.SigningSecrets) == 0 || len(h.Values(signatureHeader)) == 0 {
		return "", nil
	}
	sig, err1 := singleHeader(h, signatureHeader)
	at, err2 := singleHeader(h, signatureTime)
	if err1 != nil || err2 != nil {
		return "", ErrUnauthenticated
	}
	hit := -1
	for i, k := range s.SigningSecrets {
		if k.IsZero() {
			continue
		}
		mac := hmac.New(sha256.New, []byte(k.reveal()))
		mac.Write(body)
		want := hex.AppendEncode(nil, mac.Sum(nil))
		hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want, []byte(sig)), i, hit)
	}
	if hit < 0 {
		return "", ErrUnauthenticated
	}
	if err := s.checkTimestamp(at, now); err != nil {
		return "", err
	}
	return ordinal("signing secret", hit, len(s.SigningSecrets)), nil
}

// checkTimestamp checks a time in Unix seconds, plain digits, against ours. It is asked
// only about requests whose signature is right.
func (s *Verifier) checkTimestamp(at string, now time.Time) error {
	tolerance := s.ClockSkew
	if tolerance == 0 {
		tolerance = DefaultClockSkew
	}
	if len(at) == 0 || len(at) > 12 || strings.Trim(at, "0123456789") != "" {
		return ErrUnauthenticated
	}
	sec, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return ErrUnauthenticated
	}
	if d := now.Sub(time.Unix(sec, 0)); d > tolerance || d < -tolerance {
		return ErrStaleTimestamp
	}
	return nil
}
