package core

import (
	"bytes"
	"cmp"
	"errors"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/jsonscan"
)

// Limits is how large a body may be and how it may be built. Each zero means
// its default. The figures are ours: Interactly documents none.
type Limits struct {
	// MaxBodyBytes is the most bytes of a body. Default 6 MiB, what AWS Lambda takes:
	// a long call's report stays below 1 MiB.
	MaxBodyBytes int

	// MaxDepth is how deep arrays and objects may stand in each other. Default
	// 64: events are 9 deep, a tool's arguments seldom more than 5.
	MaxDepth int

	// MaxTokens is how many values, names, and ends of arrays and objects there may be.
	// Default 200,000: a call of 15 minutes has some 20,000. It bounds the
	// memory of whoever decodes the body, which bytes do not: 6 MB of "{},"
	// are 4 million of them.
	MaxTokens int

	// MaxStringBytes is the most bytes of a string as sent, with its quotes. Default
	// 1 MiB: the longest that we know are system prompts.
	MaxStringBytes int

	// MaxNumberBytes is the most bytes of a number. Default 64: no id and no
	// time needs more, and arithmetic on long ones is slow. true, false and
	// null are shorter than any sensible limit.
	MaxNumberBytes int
}

func (l Limits) withDefaults() Limits {
	return Limits{
		MaxBodyBytes:   cmp.Or(l.MaxBodyBytes, 6<<20),
		MaxDepth:       cmp.Or(l.MaxDepth, 64),
		MaxTokens:      cmp.Or(l.MaxTokens, 200_000),
		MaxStringBytes: cmp.Or(l.MaxStringBytes, 1<<20),
		MaxNumberBytes: cmp.Or(l.MaxNumberBytes, 64),
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

// validate checks a body before anything is decoded from it: one JSON value by RFC
// 8259, UTF-8 without lone surrogates, no name twice in an object, and within
// the limits. It builds nothing. Its errors are of type badBody.
func (l Limits) validate(body []byte) error {
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
	if len(body) > l.MaxBodyBytes {
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
			if depth++; depth > l.MaxDepth {
				return errTooDeep
			}
		case '}', ']':
			i++
			depth--
		case '"':
			if i = jsonscan.StringEnd(body, i); i < 0 {
				return errBadJSON
			}
			if i-start > l.MaxStringBytes {
				return errLongString
			}
		default:
			if i = jsonscan.ScalarEnd(body, i); i-start > l.MaxNumberBytes {
				return errLongNumber
			}
		}
		if tokens++; tokens > l.MaxTokens {
			return errTooManyTokens
		}
	}
	return nil
}
