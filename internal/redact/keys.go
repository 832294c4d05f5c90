package redact

import (
	"bytes"
)

// A position is what keys mean in a part of the body.
type position uint8

const (
	eventPosition   position = iota // neither of the others
	configPosition                  // the sender's configuration: keys tell what is secret
	headersPosition                 // header fields: every value is secret
	freePosition                    // somebody's own data: keys tell nothing
	insideArray     = 1 << 7        // flag: an array, not an object
)

// A class is what a key says about its value.
type class uint8

const (
	classOther  class = iota
	classURL          // whoever has it controls the call
	classSecret       // a credential
	classHeaders
	classFree // begins somebody's own data
)

// child returns the zone of a value in z under a key of class c, or that it is
// to be masked whole.
func (z position) child(c class, isObject bool) (in position, secret bool) {
	switch {
	case c == classURL, z == headersPosition:
		return z, true
	case z == freePosition:
		return z, false
	case c == classFree:
		return freePosition, false
	case c == classHeaders && isObject:
		return headersPosition, false
	}
	return z, c == classSecret || c == classHeaders
}

// classify reads a key as sent: case, hyphens and underscores do not count,
// escapes do not hide. It is asked about every key of every event.
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
		if n == len(buf) { // keep the end, which tells
			n = copy(buf[:], buf[len(buf)/2:])
		}
		buf[n] = byte(c) // #nosec G602 -- copy has just made n less than len(buf)
		n++
	}
	name := buf[:n]
	switch string(name) {
	case "controlurl", "listenurl":
		return classURL
	case "headers":
		return classHeaders
	case "metadata", "structureddata", "arguments", "parameters", "messages":
		return classFree
	case "":
		return classOther
	}
	secret := false
	switch name[n-1] {
	case 't':
		secret = endsIn(name, "secret")
	case 'n':
		secret = endsIn(name, "token") || endsIn(name, "authorization")
	case 'y':
		secret = endsIn(name, "apikey") || endsIn(name, "privatekey")
	case 'd':
		secret = endsIn(name, "password")
	}
	if secret || name[0] == 'c' && bytes.HasPrefix(name, []byte("credential")) {
		return classSecret
	}
	return classOther
}

func endsIn(name []byte, end string) bool {
	return len(name) >= len(end) && string(name[len(name)-len(end):]) == end
}
