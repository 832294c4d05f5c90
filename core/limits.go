package core

import (
	"cmp"
	"errors"

	"github.com/serverurl/serverurl/internal/jsonscan"
)

// Limits bound the size and structure of bodies. A zero field has its default.
// The figures are our choice: Interactly documents none.
type Limits struct {
	// MaxBodyBytes is the size of a body. Default 6 MiB, the limit of AWS Lambda;
	// the report of a long call is below 1 MiB.
	MaxBodyBytes int

	// MaxDepth is the nesting of arrays and objects. Default 64: events are 9
	// deep, the arguments of a tool seldom more than 5.
	MaxDepth int

	// MaxTokens is the number of values, names, and ends of arrays and objects.
	// Default 200,000: a call of 15 minutes has about 20,000. It bounds the
	// memory for decoding the body, which MaxBodyBytes does not: 6 MB of "{},"
	// are 4 million tokens.
	MaxTokens int

	// MaxStringBytes is the size of a string as sent, with its quotes. Default
	// 1 MiB: the longest known ones are system prompts.
	MaxStringBytes int

	// MaxNumberBytes is the size of a number. Default 64: no id or time needs
	// more, and converting long ones is slow.
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

// A badBody is why a body is refused, in constant words. Parsers quote the payload
// in their errors, so those are dropped.
type badBody string

func (b badBody) Error() string { return "core: bad body: " + string(b) }

const (
	errTooLarge      badBody = "too large"
	errBadJSON       badBody = "not json"
	errBadText       badBody = "bad text"
	errBadEncoding   badBody = "bad content encoding"
	errTooDeep       badBody = "too deep"
	errTooManyTokens badBody = "too many tokens"
	errLongString    badBody = "string too long"
	errLongNumber    badBody = "number too long"
)

// reasonOf returns the words of a badBody.
func reasonOf(err error) string {
	if b, ok := errors.AsType[badBody](err); ok {
		return string(b)
	}
	return "unknown"
}

// measure compares a body with the limits, without checking its grammar. It runs
// before the parser, which holds all names of an object in memory, and so is
// protected by the limits. Counting tokens here is twice as fast as reading them
// from the parser.
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
