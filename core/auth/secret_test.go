package auth

import (
	"bytes"
	"encoding/gob"
	jsonv1 "encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"text/template"

	"github.com/go-json-experiment/json"
)

func TestSecretIsNeverShown(t *testing.T) {
	const canary = "CANARY0secret0canary"
	s := NewSecret(canary)
	type hidden struct{ inside Secret }
	type open struct {
		S    Secret
		P    *Secret
		List []Secret
		Map  map[string]Secret
	}
	o := open{s, &s, []Secret{s}, map[string]Secret{"a": s}}

	var out bytes.Buffer
	for _, v := range []any{s, &s, o, &o, []Secret{s}, hidden{s}, &hidden{s}, []hidden{{s}}, map[string]hidden{"a": {s}}, any(hidden{s}),
		Verifier{Secrets: []Secret{s}, SigningSecrets: []Secret{s}, StandardWebhooksSecrets: []Secret{s}}} {
		for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %c %U %e %p %T %10.3v %-20s %z") {
			fmt.Fprintf(&out, verb+"\n", v)
		}
		fmt.Fprintln(&out, v)
		for _, h := range []slog.Handler{slog.NewTextHandler(&out, nil), slog.NewJSONHandler(&out, nil)} {
			slog.New(h).Info("x", "v", v, slog.Group("g", "v", v))
		}
		b, err := jsonv1.Marshal(v)
		fmt.Fprintf(&out, "%s %v\n", b, err)
		b, err = json.Marshal(v)
		fmt.Fprintf(&out, "%s %v\n", b, err)
		_ = gob.NewEncoder(&out).Encode(v)
		_ = template.Must(template.New("").Parse("{{.}} {{printf \"%s\" .}}\n")).Execute(&out, v)
	}
	out.WriteString(fmt.Errorf("around: %v %w", s, s.Validate()).Error())
	func() {
		defer func() { fmt.Fprint(&out, recover()) }()
		panic(s)
	}()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), canary[:8]} {
		if strings.Contains(out.String(), form) {
			t.Errorf("a secret is shown as %q in:\n%s", form, out.String())
		}
	}
	if got := fmt.Sprint(s); got != "***" {
		t.Errorf("prints as %q", got)
	}
	if b, err := json.Marshal(o); err != nil || string(b) != `{"S":"***","P":"***","List":["***"],"Map":{"a":"***"}}` {
		t.Errorf("encodes as %s, %v", b, err)
	}
}

func TestSecretWeak(t *testing.T) {
	for _, c := range []struct {
		secret string
		weak   bool
	}{
		{"", true},
		{"hunter2", true},
		{current[:23], true},
		{current[:24], false},
		{current, false},
		{current + current, false},
		{"  " + current + "\n", false}, // a file's end is not part of it
		{"EXAMPLE-SECRET-REDACT-ME", true},
		{"change-me-change-me-change-me", true},
		{"your_secret_goes_right_here!", true},
		{"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", true},
		{"0123456789abcdef0123456789abcdef", true},
		{strings.Repeat("a", 64), true},
		{strings.Repeat("abcde", 10), true},
		{current + "\"", true},
		{current + "\u00e9", true},
		{current + "\x00" + current, true},
	} {
		err := NewSecret(c.secret).Validate()
		if (err != nil) != c.weak {
			t.Errorf("%q: %v, want weak %v", c.secret, err, c.weak)
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, ErrWeakSecret) || !strings.Contains(err.Error(), "openssl rand -hex 32") {
			t.Errorf("%q: the error does not say what to type: %v", c.secret, err)
		}
		if len(c.secret) > 6 && strings.Contains(err.Error(), c.secret) {
			t.Errorf("the error shows the secret: %v", err)
		}
	}
}

func TestParseSecrets(t *testing.T) {
	for in, want := range map[string]int{"": 0, " , ,\n": 0, "a": 1, " a , b ,": 2, "a,b,c": 3} {
		if got := ParseSecrets(in); len(got) != want {
			t.Errorf("%q: %d secrets, want %d", in, len(got), want)
		}
	}
	if got := ParseSecrets(" new ,old\n"); got[0].reveal() != "new" || got[1].reveal() != "old" {
		t.Error("order or white space is kept wrongly")
	}
}
