package auth_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core/auth"
)

// Authenticate requests by a secret in a header. During a rotation both secrets
// are accepted.
func ExampleVerifier() {
	v := auth.Verifier{Secrets: auth.ParseSecrets("5f1d0c9a7b3e48d2a6c4e8f0b1d3957a,0d7e2b91c4f8a6355e8091d2c7ba43f6")}
	if err := v.Validate(); err != nil {
		fmt.Println(err)
		return
	}
	body := []byte(`{"message":{"type":"hang","call":{"id":"WC-1"}}}`)

	header := auth.Header{"X-Interactly-Secret": {"0d7e2b91c4f8a6355e8091d2c7ba43f6"}}
	by, err := v.Verify(header, body, time.Now())
	fmt.Println(by.Matched, err)

	_, err = v.Verify(auth.Header{}, body, time.Now())
	fmt.Println(errors.Is(err, auth.ErrUnauthenticated))
	// Output:
	// secret 2 of 2 <nil>
	// true
}

// A secret cannot be printed, and a weak one is refused at start.
func ExampleSecret() {
	s := auth.NewSecret("5f1d0c9a7b3e48d2a6c4e8f0b1d3957a")
	fmt.Println(s, s.Validate())
	fmt.Println(auth.NewSecret("hunter2").Validate())
	// Output:
	// *** <nil>
	// auth: weak secret: it has fewer than 24 bytes; make one with: openssl rand -hex 32
}
