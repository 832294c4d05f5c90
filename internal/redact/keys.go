package redact

import "bytes"

// A position is what names mean in a part of the body.
type position uint8

const (
	eventPosition   position = iota // neither of the others: names say what is secret
	headersPosition                 // header fields: every value is secret
	freePosition                    // data of the app or the caller: names mean nothing
	insideArray     = 1 << 7        // flag: in an array, not in an object
)

// A class is what a name says about its value.
type class uint8

const (
	classOther   class = iota
	classURL           // its holder controls the call
	classSecret        // a credential
	classHeaders       // an object of header fields
	classFree          // data of the app or the caller
)

// child returns the position of the value of a member of class c, and whether
// the whole value is secret.
func (p position) child(c class, isObject bool) (in position, secret bool) {
	switch {
	case c == classURL, p == headersPosition:
		return p, true
	case p == freePosition:
		return p, false
	case c == classFree:
		return freePosition, false
	case c == classHeaders && isObject:
		return headersPosition, false
	}
	return p, c == classSecret || c == classHeaders
}

// Names are compared in lower case, without hyphens and underscores.
var (
	// secretSuffixes end the names of credentials: xApiKey, server_secret,
	// X-Vapi-Secret, assistantServerToken. To redact one more, add it here.
	secretSuffixes = []string{"secret", "token", "authorization", "apikey", "privatekey", "password"}

	secretPrefix = []byte("credential") // credentials, credentialId

	// lastOfSecret are the last letters of secretSuffixes. Most names end in
	// another one, which saves a quarter of the time for a large event.
	lastOfSecret = func() (is [256]bool) {
		for _, suffix := range secretSuffixes {
			is[suffix[len(suffix)-1]] = true
		}
		return is
	}()
)

// classOf has the names that mean something as a whole.
func classOf(name []byte) class {
	switch string(name) {
	case "controlurl", "listenurl":
		return classURL
	case "headers":
		return classHeaders
	case "metadata", "structureddata", "arguments", "parameters", "messages", "dynamicvariables", "variablevalues":
		return classFree
	}
	if len(name) == 0 {
		return classOther
	}
	if lastOfSecret[name[len(name)-1]] {
		for _, suffix := range secretSuffixes {
			if len(name) >= len(suffix) && string(name[len(name)-len(suffix):]) == suffix {
				return classSecret
			}
		}
	}
	if bytes.HasPrefix(name, secretPrefix) {
		return classSecret
	}
	return classOther
}

// classify returns the class of a name as sent: case, hyphens and underscores
// do not count, and escapes do not hide anything. It runs for every name of
// every event, so it does not allocate.
func classify(raw []byte) class {
	var buf [64]byte
	n := 0
	plain := bytes.IndexByte(raw, '\\') < 0
	for i := 0; i < len(raw); {
		c, size := rune(raw[i]), 1
		if !plain {
			c, size = unescape(raw, i)
		}
		i += size
		if c == '_' || c == '-' {
			continue
		}
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if n == len(buf) { // a long name: its end is what matters
			n = copy(buf[:], buf[len(buf)/2:])
		}
		buf[n] = byte(c) // #nosec G602 -- copy has just made n less than len(buf)
		n++
	}
	return classOf(buf[:n])
}
