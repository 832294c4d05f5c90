// Package redact removes credentials from payloads before they are stored. It
// is a pure function of bytes: it never fails, and it never returns more than
// it was given.
//
//	clean := redact.JSON(nil, body, secrets)
package redact
