package calls

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"

	"github.com/serverurl/serverurl/core/event"
)

// LogTag returns the digest that stands for a call in logs, 12 hexadecimal digits.
// All lines about a call have the same one. key is that of auth.Verifier.LogKey:
// without it nobody can derive an id from a tag, or check whether it is that of an
// id.
func LogTag(key [sha256.Size]byte, id event.CallID) string {
	mac := hmac.New(sha256.New, key[:])
	mac.Write([]byte(id))
	return hex.EncodeToString(mac.Sum(nil)[:6])
}
