package auth

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"

	"github.com/serverurl/serverurl/internal/redact"
)

// MinSecretBytes is the fewest bytes of a [Secret] that is not weak: 192 bits when
// they are random, which is also the least that Standard Webhooks allows.
const MinSecretBytes = 24

// ErrWeakSecret reports a secret that can be guessed. The error around it says
// which one and what to type instead, never the secret.
var ErrWeakSecret = errors.New("core: weak secret")

// A Secret is a string that is compared and masked and never shown: every
// format verb, log, and encoding of it gives "***". The zero Secret is none.
//
// It stays in memory in clear, because values in payloads are masked by
// comparison. It sits behind a pointer, so that even a struct with a Secret
// in an unexported field, where fmt calls no methods, prints an address only.
type Secret struct {
	value *string
	_     [0]func() // not comparable: == would take time that tells
}

// NewSecret returns s as a Secret, without white space around it: files and
// environments like to end in a newline, and a header cannot.
func NewSecret(s string) Secret {
	s = strings.TrimSpace(s)
	if s == "" {
		return Secret{}
	}
	return Secret{value: &s}
}

// ParseSecrets reads secrets with commas between them: the newest first and,
// while it takes over, the one before it (docs/events.md#authentication). Empty
// parts are left out.
func ParseSecrets(s string) []Secret {
	var all []Secret
	for part := range strings.SplitSeq(s, ",") {
		if one := NewSecret(part); !one.IsZero() {
			all = append(all, one)
		}
	}
	return all
}

// IsZero reports whether there is no secret.
func (s Secret) IsZero() bool { return s.value == nil }

// reveal returns the secret in clear. Nothing but comparing and masking may
// call it.
func (s Secret) reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Validate returns an error around [ErrWeakSecret] when the secret is shorter than
// [MinSecretBytes] bytes, has next to no variety, is a sample out of somebody's
// documentation, or holds what an HTTP header cannot carry as it is.
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

func weak(why string) error {
	return fmt.Errorf("%w: %s; make one with: openssl rand -hex 32", ErrWeakSecret, why)
}

func distinct(b []byte) (n int) {
	for c := range 256 {
		if bytes.IndexByte(b, byte(c)) >= 0 {
			n++
		}
	}
	return n
}

// isSample knows the secrets that documentation is full of. None of these
// words can come out of openssl rand -hex.
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

// Format prints the placeholder, whatever the verb and its flags.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redact.Placeholder) }

// String returns the placeholder.
func (s Secret) String() string { return redact.Placeholder }

// GoString returns the placeholder.
func (s Secret) GoString() string { return redact.Placeholder }

// LogValue returns the placeholder.
func (s Secret) LogValue() slog.Value { return slog.StringValue(redact.Placeholder) }

// MarshalText returns the placeholder; JSON uses it too.
func (s Secret) MarshalText() ([]byte, error) { return []byte(redact.Placeholder), nil }
