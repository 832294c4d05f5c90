package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"hash"
	"io"
	"strings"
	"time"
)

// Header fields of signatures.
const (
	signatureHeader = "X-Interactly-Signature" // docs/events.md#authentication
	signatureTime   = "X-Interactly-Timestamp"

	standardID        = "Webhook-Id" // docs/events.md#authentication
	standardTime      = "Webhook-Timestamp"
	standardSignature = "Webhook-Signature"
	standardPrefix    = "whsec_"
)

// verifyStandard checks a Standard Webhooks signature if the request has one.
// Signatures of unknown versions are skipped; one valid signature is enough.
func (v *Verifier) verifyStandard(h Header, body []byte, now time.Time) (Sender, error) {
	if len(v.StandardWebhooksSecrets) == 0 || len(h.Values(standardSignature)) == 0 {
		return Sender{}, nil
	}
	id, err1 := singleHeader(h, standardID)
	at, err2 := singleHeader(h, standardTime)
	sigs, err3 := singleHeader(h, standardSignature)
	// The signed text joins its parts by full stops: one in the id would allow
	// the same text to be split differently.
	if err1 != nil || err2 != nil || err3 != nil || id == "" || strings.Contains(id, ".") ||
		strings.Count(sigs, " ") >= maxSignatures {
		return Sender{}, ErrUnauthenticated
	}
	hit := -1
	for i, k := range v.StandardWebhooksSecrets {
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
		return Sender{}, ErrUnauthenticated
	}
	if err := v.checkTimestamp(at, now); err != nil {
		return Sender{}, err
	}
	return sender("webhook secret", v.StandardWebhooksSecrets, hit), nil
}

// writeStrings avoids a copy of the strings as bytes.
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
	if !ok || err != nil || len(key) < MinSecretBytes || len(key) > 64 {
		return nil, errStandardKey
	}
	return key, nil
}
