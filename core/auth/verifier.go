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

// Limits on what is read of an unauthenticated request.
const (
	maxHeaderBytes  = 16 << 10 // in all names and values
	maxHeaderFields = 100
	maxSignatures   = 8 // Standard Webhooks sends one per secret in rotation
)

// DefaultClockSkew is how far a signature's time may be from our clock: what
// Interactly and Standard Webhooks recommend.
const DefaultClockSkew = 5 * time.Minute

// ErrNoSecret is returned by [Verifier.Validate] if no secret is configured,
// which would accept requests from anyone.
var ErrNoSecret = errors.New("auth: no secret is set")

// Reasons why a request is rejected. They are logged, never returned to
// unauthenticated clients. Their texts are constant.
var (
	ErrUnauthenticated = errors.New("auth: sender is not authenticated")
	ErrStaleTimestamp  = errors.New("auth: signature is valid, its timestamp is not") // if frequent, our clock is wrong
	ErrHeaderTooLarge  = errors.New("auth: header is too large")
)

// A Verifier authenticates webhook requests. The zero Verifier rejects every
// request.
//
// One of the configured methods is enough. But an invalid signature rejects the
// request even if a secret is valid, because then it was changed on its way. To
// accept signed requests only, set no Secrets.
//
// In each list any secret is accepted, so that a new one can be added before
// the old one is removed (docs/events.md#authentication).
type Verifier struct {
	// Secrets are accepted in SecretHeaders, and as Authorization: Bearer.
	Secrets []Secret

	// SecretHeaders are the names of the fields that may carry a secret. Default:
	// X-Interactly-Secret, X-Interactly.ai-Secret and X-Vapi-Secret. An invalid
	// value in one field does not reject a valid one in another: platforms put
	// their own credentials into Authorization.
	SecretHeaders []string

	// SigningSecrets are the keys of X-Interactly-Signature: HMAC-SHA256 of the
	// raw body in lower-case hex, with X-Interactly-Timestamp in Unix seconds
	// (docs/events.md#authentication).
	SigningSecrets []Secret

	// StandardWebhooksSecrets are "whsec_" and the key in base64, as in the
	// Standard Webhooks specification, version v1.
	StandardWebhooksSecrets []Secret

	// ClockSkew is how far a signature's time may be from our clock, in both
	// directions: 30 s to 15 min. Default: [DefaultClockSkew].
	ClockSkew time.Duration

	// AllowUnauthenticated accepts every request if no secret is configured, and
	// accepts weak secrets. It is for development: servers allow it on loopback
	// addresses only.
	AllowUnauthenticated bool
}

// Validate returns an error if the configuration is unsafe: [ErrNoSecret], weak
// secrets ([ErrWeakSecret]), or an invalid field. Call it at start; its texts
// are for the operator.
func (v *Verifier) Validate() error {
	if v.ClockSkew != 0 && (v.ClockSkew < 30*time.Second || v.ClockSkew > 15*time.Minute) {
		return errors.New("auth: clock skew of signatures must be between 30s and 15m")
	}
	for i, k := range v.StandardWebhooksSecrets {
		if _, err := standardKey(k); err != nil {
			return fmt.Errorf("auth: %s: %w", ordinal("webhook", i, len(v.StandardWebhooksSecrets)), err)
		}
	}
	if err := v.validateNames(); err != nil || v.AllowUnauthenticated {
		return err
	}
	if !v.configured() {
		return fmt.Errorf("%w, so anyone could send; set SERVERURL_SECRET to what the assistant's server settings hold, "+
			"new: openssl rand -hex 32", ErrNoSecret)
	}
	var all []error
	for _, list := range []struct {
		name    string
		secrets []Secret
	}{{"secret", v.Secrets}, {"signing secret", v.SigningSecrets}, {"webhook secret", v.StandardWebhooksSecrets}} {
		for i, k := range list.secrets {
			if err := k.Validate(); err != nil {
				all = append(all, fmt.Errorf("%s: %w", ordinal(list.name, i, len(list.secrets)), err))
			}
		}
	}
	return errors.Join(all...)
}

// validateNames returns an error if some secrets have a tenant's name and others
// have none, or if two tenants have one: nobody could say then whose a call is.
func (v *Verifier) validateNames() error {
	all, named := v.secrets(), 0
	for _, k := range all {
		if k.name == "" {
			continue
		}
		if named++; !isTenant(k.name) {
			return fmt.Errorf("auth: %q is not a name for a secret: use up to 32 of a-z, 0-9 and -, and a letter first", k.name)
		}
	}
	if named > 0 && named < len(all) {
		return fmt.Errorf("auth: %d of %d secrets have a name, as in north:SECRET (of a-z, 0-9 and -): name all of them, or none", named, len(all))
	}
	for i, k := range all {
		for _, other := range all[:i] {
			if k.name != other.name && k.reveal() == other.reveal() {
				return fmt.Errorf("auth: %s and %s have the same secret, so nobody could say whose a request is: give each its own", other.name, k.name)
			}
		}
	}
	return nil
}

// Tenants returns the names of secrets, each once, in alphabetical order; nil if
// they have none.
func (v *Verifier) Tenants() (names []string) {
	for _, k := range v.secrets() {
		if k.name != "" && !slices.Contains(names, k.name) {
			names = append(names, k.name)
		}
	}
	slices.Sort(names)
	return names
}

// configured reports whether there is any secret.
func (v *Verifier) configured() bool { return v.Count() > 0 }

// ordinal names a secret without showing it.
func ordinal(what string, i, n int) string { return fmt.Sprintf("%s %d of %d", what, i+1, n) }

// secrets returns every configured secret.
func (v *Verifier) secrets() []Secret {
	return slices.Concat(v.Secrets, v.SigningSecrets, v.StandardWebhooksSecrets)
}

// Count returns the number of configured secrets: more than one during a
// rotation.
func (v *Verifier) Count() int {
	return len(v.Secrets) + len(v.SigningSecrets) + len(v.StandardWebhooksSecrets)
}

// Redact returns body without the configured secrets and without the
// credentials that payloads repeat (docs/events.md#secrets). It returns body
// itself if there is nothing to redact; otherwise it writes to dst[:0].
func (v *Verifier) Redact(dst, body []byte) []byte {
	all := v.secrets()
	plain := make([]string, len(all))
	for i, k := range all {
		plain[i] = strings.TrimPrefix(k.reveal(), standardPrefix) // payloads may repeat the key without its prefix
	}
	return redact.JSON(dst, body, plain)
}

// LogKey returns the key of the digests that stand for ids in logs. It is derived
// from the first secret, so that all instances log a call under one digest.
func (v *Verifier) LogKey() [sha256.Size]byte {
	first := ""
	if all := v.secrets(); len(all) > 0 {
		first = all[0].reveal()
	}
	return sha256.Sum256([]byte("serverurl log tags\x00" + first))
}

// A Sender is who is known to have sent a request. The zero Sender is nobody.
type Sender struct {
	// Tenant is the name of the secret that the sender knows, "" if it has none.
	Tenant string

	// Matched says which secret that is, for the log: "secret 2 of 2", or "anyone"
	// if none is needed.
	Matched string
}

// Verify authenticates a whole request at a time. Its error is
// [ErrUnauthenticated], [ErrStaleTimestamp] or [ErrHeaderTooLarge].
func (v *Verifier) Verify(h Header, body []byte, now time.Time) (Sender, error) {
	by, err := v.VerifyHead(h)
	if err != nil {
		return Sender{}, err
	}
	return v.VerifyBody(by, h, body, now)
}

// VerifyHead authenticates a request as far as its header goes. It fails if the
// request will be rejected with any body, so that bodies of unauthenticated
// clients need not be read. It returns nobody and no error if a signature over the
// body decides.
func (v *Verifier) VerifyHead(h Header) (Sender, error) {
	if headerTooLarge(h) {
		return Sender{}, ErrHeaderTooLarge
	}
	by, err := v.verifySecret(h)
	switch {
	case err != nil || by.Matched != "":
		return by, err
	case len(v.SigningSecrets) > 0 && len(h.Values(signatureHeader)) > 0,
		len(v.StandardWebhooksSecrets) > 0 && len(h.Values(standardSignature)) > 0:
		return Sender{}, nil
	case v.AllowUnauthenticated && !v.configured():
		return Sender{Matched: "anyone"}, nil
	}
	return Sender{}, ErrUnauthenticated
}

// VerifyBody checks the signatures of a request after VerifyHead, whose result
// is by. An invalid signature rejects the request even if its header has a valid
// secret, and so does one of another tenant.
func (v *Verifier) VerifyBody(by Sender, h Header, body []byte, now time.Time) (Sender, error) {
	for _, verify := range []func(Header, []byte, time.Time) (Sender, error){v.verifySigned, v.verifyStandard} {
		signed, err := verify(h, body, now)
		switch {
		case err != nil:
			return Sender{}, err
		case by.Matched == "":
			by = signed
		case signed.Matched != "" && signed.Tenant != by.Tenant:
			return Sender{}, ErrUnauthenticated
		}
	}
	if by.Matched == "" {
		return Sender{}, ErrUnauthenticated
	}
	return by, nil
}

// sender returns the one who knows the i-th secret of a list, nobody for -1.
func sender(what string, list []Secret, i int) Sender {
	if i < 0 {
		return Sender{}
	}
	return Sender{Tenant: list[i].name, Matched: ordinal(what, i, len(list))}
}

// headerTooLarge reports whether the header exceeds its limits.
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

// singleHeader returns the value of a field, "" if it is missing. It returns an
// error if the field occurs with different values: that is an attempt to show
// them to different readers.
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
// compared, by their hashes, so that the time taken depends on neither the length
// nor the position of a match.
func (v *Verifier) verifySecret(h Header) (Sender, error) {
	if len(v.Secrets) == 0 {
		return Sender{}, nil
	}
	names := v.SecretHeaders
	if len(names) == 0 {
		names = secretHeaders
	}
	hit, two := -1, false // two: the secrets of two tenants, which one sender does not have
	try := func(got string) {
		if got == "" { // an empty field must not match a zero Secret
			return
		}
		one := -1
		sum := sha256.Sum256([]byte(got))
		for i, k := range v.Secrets {
			want := sha256.Sum256([]byte(k.reveal()))
			one = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], want[:]), i, one)
		}
		two = two || one >= 0 && hit >= 0 && v.Secrets[one].name != v.Secrets[hit].name
		if one >= 0 {
			hit = one
		}
	}
	for _, name := range names {
		got, err := singleHeader(h, name)
		if err != nil {
			return Sender{}, err
		}
		try(got)
	}
	auth, err := singleHeader(h, "Authorization")
	if err != nil {
		return Sender{}, err
	}
	if scheme, token, ok := strings.Cut(auth, " "); ok && strings.EqualFold(scheme, "Bearer") {
		try(strings.Trim(token, " "))
	}
	if two {
		return Sender{}, ErrUnauthenticated
	}
	return sender("secret", v.Secrets, hit), nil
}

// verifySigned checks X-Interactly-Signature if the request has one. Its time is
// not signed, so the check of the time rejects accidental replays, not forged
// ones.
func (v *Verifier) verifySigned(h Header, body []byte, now time.Time) (Sender, error) {
	if len(v.SigningSecrets) == 0 || len(h.Values(signatureHeader)) == 0 {
		return Sender{}, nil
	}
	sig, err1 := singleHeader(h, signatureHeader)
	at, err2 := singleHeader(h, signatureTime)
	if err1 != nil || err2 != nil {
		return Sender{}, ErrUnauthenticated
	}
	hit := -1
	for i, k := range v.SigningSecrets {
		if k.IsZero() {
			continue
		}
		mac := hmac.New(sha256.New, []byte(k.reveal()))
		mac.Write(body)
		want := hex.AppendEncode(nil, mac.Sum(nil))
		hit = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(want, []byte(sig)), i, hit)
	}
	if hit < 0 {
		return Sender{}, ErrUnauthenticated
	}
	if err := v.checkTimestamp(at, now); err != nil {
		return Sender{}, err
	}
	return sender("signing secret", v.SigningSecrets, hit), nil
}

// checkTimestamp checks a time in Unix seconds, digits only, against our clock.
// It is called after the signature was found valid, so ErrStaleTimestamp is
// about an authenticated sender.
func (v *Verifier) checkTimestamp(at string, now time.Time) error {
	tolerance := v.ClockSkew
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
