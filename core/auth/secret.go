package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"regexp"
	"strings"

	"github.com/serverurl/serverurl/internal/redact"
)

// MinSecretBytes is how long a [Secret] must be not to be weak: 192 bits if its
// bytes are random, which is also the minimum of Standard Webhooks.
const MinSecretBytes = 24

// ErrWeakSecret is returned for a secret that can be guessed. The error that
// wraps it says which secret, and what to type instead. It never holds the
// secret.
var ErrWeakSecret = errors.New("auth: weak secret")

// A Secret is a string that can be compared and redacted but not printed: every
// format verb, log, and encoding of it yields "***". The zero Secret is none.
//
// Memory holds it in plaintext, because it is redacted from payloads by
// comparison. It is behind a pointer, so that even a struct with a Secret in an
// unexported field, for which fmt calls no methods, prints an address only.
type Secret struct {
	value *string
	name  string
	_     [0]func() // not comparable: == takes a time that depends on the secret
}

// NewSecret returns s as a Secret, without the white space around it: values in
// files and environments often end in a newline, and header fields cannot. An
// empty s is the zero Secret.
func NewSecret(s string) Secret {
	s = strings.TrimSpace(s)
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// NamedSecret is [NewSecret] with the name of the tenant who knows it: several
// secrets of one name are those of one tenant. A name has up to 32 of a-z, 0-9 and
// "-", and begins with a letter. It is not secret: logs and ids have it.
func NamedSecret(name, s string) Secret {
	named := NewSecret(s)
	if !named.IsZero() {
		named.name = name
	}
	return named
}

// ParseSecrets parses a list with commas: the newest secret first and, during a
// rotation, the one before it (docs/events.md#authentication). A name and a colon
// before a secret name its tenant: "north:5f1d…,south:0d7e…". Empty elements are
// left out.
func ParseSecrets(s string) []Secret {
	var all []Secret
	for part := range strings.SplitSeq(s, ",") {
		if one := NamedSecret(CutName(part)); !one.IsZero() {
			all = append(all, one)
		}
	}
	return all
}

// CutName returns the name and the secret of one element of such a list.
func CutName(s string) (name, secret string) {
	s = strings.TrimSpace(s)
	if name, secret, named := strings.Cut(s, ":"); named && isTenant(name) {
		return name, secret
	}
	return "", s
}

var tenantPattern = regexp.MustCompile(`^[a-z][a-z0-9-]{0,31}$`)

func isTenant(name string) bool { return tenantPattern.MatchString(name) }

// Name returns the name of the tenant who knows the secret, "" if it has none.
func (s Secret) Name() string { return s.name }

// IsZero reports whether s is the zero Secret.
func (s Secret) IsZero() bool { return s.value == nil }

// reveal returns the secret in plaintext. Only what compares or redacts may call
// it.
func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Validate returns an error that wraps [ErrWeakSecret] if the secret is shorter
// than [MinSecretBytes] bytes, consists of a few characters only, is a sample
// from known documentation, or has characters that an HTTP header cannot carry.
func (s Secret) Validate() error {
	v := s.reveal()
	switch {
	case len(v) < MinSecretBytes:
		return weak("it has fewer than 24 bytes")
	case distinct([]byte(v)) < 6:
		return weak("it repeats a few characters")
	case strings.ContainsFunc(v, func(r rune) bool { return r <= ' ' || r > '~' || r == '"' || r == '\\' }):
		return weak("it has characters that a header or JSON cannot carry as they are")
	case isSample(v):
		return weak("it is a sample from documentation")
	}
	return nil
}

// weak returns the error for the operator.
func weak(why string) error {
	return fmt.Errorf("%w: %s; make one with: openssl rand -hex 32", ErrWeakSecret, why)
}

// distinct counts the different bytes of b.
func distinct(b []byte) (n int) {
	for c := range 256 {
		if bytes.IndexByte(b, byte(c)) >= 0 {
			n++
		}
	}
	return n
}

// isSample reports whether v is a secret out of documentation, which people copy.
// No output of openssl rand -hex contains one of these words.
func isSample(v string) bool {
	switch strings.TrimPrefix(v, standardPrefix) {
	case "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
		"0123456789abcdef0123456789abcdef", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef":
		return true
	}
	v = strings.NewReplacer("-", "", "_", "", ".", "").Replace(strings.ToLower(v))
	for _, word := range []string{"example", "sample", "changeme", "redactme", "placeholder", "yoursecret",
		"mysecret", "supersecret", "webhooksecret", "yourapi", "password", "12345678901234"} {
		if strings.Contains(v, word) {
			return true
		}
	}
	return false
}

// Format prints the placeholder for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redact.Placeholder) }

// String returns the placeholder.
func (s Secret) String() string { return redact.Placeholder }

// GoString returns the placeholder.
func (s Secret) GoString() string { return redact.Placeholder }

// LogValue returns the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }

// MarshalText returns the placeholder. JSON encoders call it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }
