package aws

import (
	"encoding/base64"
	"net/http"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core"
)

// The most bytes of a reply, as JSON in the form that is sent.
const (
	// maxReply is Lambda's quota of a synchronous response: 6 MB, in its own
	// error message 6291556 bytes (docs/aws.md#limits).
	maxReply = 6_291_556

	// maxReplyALB is a load balancer's cap of a Lambda target's response: 1 MB.
	maxReplyALB = 1_000_000
)

func maxReplyOf(s trigger) int {
	if s == triggerALB || s == triggerALBMulti {
		return maxReplyALB
	}
	return maxReply
}

// encode returns a reply in the format of the trigger, or nil if it is larger than
// limit.
func encode(s trigger, r core.Response, limit int) []byte {
	if len(r.Body) > limit {
		return nil
	}
	b := make([]byte, 0, len(r.Body)+len(r.Body)/8+256)
	b = append(b, `{"statusCode":`...)
	b = strconv.AppendInt(b, int64(r.Status), 10)
	if s == triggerALB || s == triggerALBMulti {
		b = append(b, `,"statusDescription":`...)
		b = quote(b, strconv.Itoa(r.Status)+" "+http.StatusText(r.Status))
	}
	b = encodeHeader(b, s, r.Header)
	if utf8.Valid(r.Body) {
		b = append(b, `,"body":`...)
		b = quote(b, r.Body)
		b = append(b, `,"isBase64Encoded":false}`...)
	} else {
		b = append(b, `,"body":"`...)
		b = base64.StdEncoding.AppendEncode(b, r.Body)
		b = append(b, `","isBase64Encoded":true}`...)
	}
	if len(b) > limit {
		return nil
	}
	return b
}

// encodeHeader writes lists if the platform takes lists: API Gateway's
// first payload always does, a load balancer when multi-value headers are on.
// The others get one value for a name, and cookies in a list of their own.
func encodeHeader(b []byte, s trigger, header []core.HeaderField) []byte {
	var names []string
	values := make(map[string][]string, len(header))
	for _, f := range header {
		name := http.CanonicalHeaderKey(f.Name)
		if values[name] == nil {
			names = append(names, name)
		}
		values[name] = append(values[name], f.Value)
	}
	lists := s == triggerREST || s == triggerALBMulti
	if lists {
		b = append(b, `,"multiValueHeaders":{`...)
	} else {
		b = append(b, `,"headers":{`...)
	}
	first := true
	for _, name := range names {
		if name == "Set-Cookie" && s == triggerURL {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(quote(b, name), ':')
		switch {
		case lists:
			b = quoteAll(b, values[name])
		case name == "Set-Cookie":
			b = quote(b, values[name][0]) // they cannot be joined; a balancer without lists takes one
		default:
			b = quote(b, strings.Join(values[name], ", "))
		}
	}
	b = append(b, '}')
	if c := values["Set-Cookie"]; c != nil && s == triggerURL {
		b = quoteAll(append(b, `,"cookies":`...), c)
	}
	return b
}

// encodeFailures returns the reply to a batch: the messages to redeliver.
func encodeFailures(records []sqsMessage, failed []bool) []byte {
	b := []byte(`{"batchItemFailures":[`)
	first := true
	for i, r := range records {
		if !failed[i] {
			continue
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = append(b, `{"itemIdentifier":`...)
		b = append(quote(b, r.ID), '}')
	}
	return append(b, `]}`...)
}

func quoteAll(b []byte, values []string) []byte {
	b = append(b, '[')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = quote(b, v)
	}
	return append(b, ']')
}

// quote appends s as a JSON string. What is not UTF-8 in it is replaced, which
// only a header can have here.
func quote[S string | []byte](b []byte, s S) []byte {
	out, _ := jsontext.AppendQuote(b, s)
	return out
}
