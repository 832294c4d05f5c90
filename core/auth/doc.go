// Package auth authenticates webhook requests: by a static secret in a header,
// a bearer token, Interactly's HMAC, or Standard Webhooks. It never prints a
// secret, and its errors are for the log, not for the sender.
//
//	v := auth.Verifier{Secrets: auth.ParseSecrets(os.Getenv("SERVERURL_SECRET"))}
//	if err := v.Validate(); err != nil {
//		return err // no secret, or one that can be guessed
//	}
//	sender, err := v.Verify(header, body, time.Now())
package auth
