package jsonscan

import (
	"bytes"
)

func SkipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// StringEnd returns the place behind the string that begins at i, or -1.
func StringEnd(b []byte, i int) int {
	for i++; ; i++ {
		n := bytes.IndexByte(b[i:], '"')
		if n < 0 {
			return -1
		}
		start := i
		i += n
		slashes := 0
		for i-slashes > start && b[i-slashes-1] == '\\' {
			slashes++
		}
		if slashes%2 == 0 {
			return i + 1
		}
	}
}

func ScalarEnd(b []byte, i int) int {
	for i < len(b) && !delimiters[b[i]] {
		i++
	}
	return i
}

var delimiters = [256]bool{',': true, ':': true, '[': true, ']': true, '{': true, '}': true, '"': true,
	' ': true, '\n': true, '\t': true, '\r': true}
