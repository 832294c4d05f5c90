// Package redact removes credentials from payloads before they are stored. It
// is a pure function of bytes. It never fails: a body that is not JSON is
// redacted too. It knows nothing of people: names and numbers of patients stay.
//
//	clean := redact.JSON(nil, body, secrets)
package redact
