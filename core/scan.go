package core

import (
	"bytes"
	"cmp"
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
)

// Limits is how large a body may be and how it may be built. Each zero means
// its default. The figures are ours: Interactly documents none.
type Limits struct {
	// Body is the most bytes of a body. Default 6 MiB, what AWS Lambda takes:
	// a long call's report stays below 1 MiB.
	Body int

	// Depth is how deep arrays and objects may stand in each other. Default
	// 64: events are 9 deep, a tool's arguments seldom more than 5.
	Depth int

	// Tokens is how many values, names, and ends of arrays and objects there may be.
	// Default 200,000: a call of 15 minutes has some 20,000. It bounds the
	// memory of whoever decodes the body, which bytes do not: 6 MB of "{},"
	// are 4 million of them.
	Tokens int

	// String is the most bytes of a string as sent, with its quotes. Default
	// 1 MiB: the longest that we know are system prompts.
	String int

	// Number is the most bytes of a number. Default 64: no id and no
	// time needs more, and arithmetic on long ones is slow. true, false and
	// null are shorter than any sensible limit.
	Number int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		Body:   cmp.Or(l.Body, 6<<20),
		Depth:  cmp.Or(l.Depth, 64),
		Tokens: cmp.Or(l.Tokens, 200_000),
		String: cmp.Or(l.String, 1<<20),
		Number: cmp.Or(l.Number, 64),
	}
}

// A badBody is what is wrong with a body, in constant words: parsers quote
// payload in their errors, so those go nowhere.
type badBody string

func (b badBody) Error() string { return "core: bad body: " + string(b) }

const (
	errTooLarge      badBody = "too large"
	errBadJSON       badBody = "not json"
	errBadText       badBody = "bad text"
	errDuplicateName badBody = "duplicate name"
	errTooDeep       badBody = "too deep"
	errTooManyTokens badBody = "too many tokens"
	errLongString    badBody = "string too long"
	errLongNumber    badBody = "number too long"
)

// reasonOf returns the constant words for why a body was refused.
func reasonOf(err error) string {
	if b, ok := errors.AsType[badBody](err); ok {
		return string(b)
	}
	return "unknown"
}

// scan checks a body before anything is decoded from it: one JSON value by RFC
// 8259, UTF-8 without lone surrogates, no name twice in an object, and within
// the limits. It builds nothing. Its errors are of type badBody.
func (l Limits) scan(body []byte) error {
	l = l.withDefaults()
	if err := l.measure(body); err != nil {
		return err
	}
	if jsontext.Value(body).IsValid() {
		return nil
	}
	_, err := jsontext.NewDecoder(bytes.NewBuffer(body)).ReadValue()
	switch {
	case errors.Is(err, jsontext.ErrDuplicateName):
		return errDuplicateName
	case !utf8.Valid(body):
		return errBadText
	}
	return errBadJSON
}

// measure holds a body against the limits. It does not care for grammar, and
// stops at the first limit: what follows sees no more than the limits say, so
// it comes before the parser, which keeps all names of an object in memory.
// Counting by itself is twice as fast as asking the parser for each token.
func (l Limits) measure(body []byte) error {
	if len(body) > l.Body {
		return errTooLarge
	}
	depth, tokens := 0, 0
	for i := 0; i < len(body); {
		start := i
		switch c := body[i]; c {
		case ' ', '\t', '\r', '\n', ',', ':':
			i++
			continue
		case '{', '[':
			i++
			if depth++; depth > l.Depth {
				return errTooDeep
			}
		case '}', ']':
			i++
			depth--
		case '"':
			if i = stringEnd(body, i); i < 0 {
				return errBadJSON
			}
			if i-start > l.String {
				return errLongString
			}
		default:
			if i = scalarEnd(body, i); i-start > l.Number {
				return errLongNumber
			}
		}
		if tokens++; tokens > l.Tokens {
			return errTooManyTokens
		}
	}
	return nil
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// stringEnd returns the place behind the string that begins at i, or -1.
func stringEnd(b []byte, i int) int {
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

func scalarEnd(b []byte, i int) int {
	for i < len(b) && !delimiters[b[i]] {
		i++
	}
	return i
}

var delimiters = [256]bool{',': true, ':': true, '[': true, ']': true, '{': true, '}': true, '"': true,
	' ': true, '\n': true, '\t': true, '\r': true}
