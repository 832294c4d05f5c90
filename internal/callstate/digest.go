package callstate

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest returns 64 hex digits that identify a list of strings. Each string is
// hashed with its length, so that ("a", "bc") and ("ab", "c") differ.
func Digest(parts ...string) string {
	sum := digestOf(parts...)
	return hex.EncodeToString(sum[:])
}

func digestOf(parts ...string) (sum [sha256.Size]byte) {
	h := sha256.New()
	var n [8]byte
	for _, s := range parts {
		binary.BigEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	h.Sum(sum[:0])
	return sum
}
