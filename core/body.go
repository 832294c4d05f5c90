package core

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/jsonscan"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// open returns the JSON text that a body is, in the one form that is masked,
// stored and decoded: not compressed, without a byte order mark, valid UTF-8, and
// no name twice in an object. It takes what JSON.parse takes, whatever the header
// calls it: an event is sent only once, and a caller waits for a tool. Its errors
// are of type badBody; then it returns what an operator can still read.
func (l Limits) open(encoding string, body []byte) ([]byte, error) {
	l = l.withDefaults()
	packed := deflated(body)
	if packed == nil {
		plain, err := l.normalize(body)
		if err == nil || !strings.Contains(strings.ToLower(encoding), "deflate") {
			return plain, err
		}
		packed = body // of those who send deflate without its zlib header
	}
	plain, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed)), int64(l.MaxBodyBytes)+1))
	switch {
	case len(plain) > l.MaxBodyBytes:
		return body, errTooLarge
	case err != nil && len(plain) == 0:
		return body, errBadEncoding
	case err != nil: // its beginning can be masked, what is compressed cannot
		return plain, errBadEncoding
	}
	return l.normalize(plain)
}

// deflated returns what follows the header of gzip or zlib, nil if a body does not
// begin with one, as no JSON text does. The body decides, not the header of the
// request: proxies unpack a body and leave its label, or lose the label.
//
// Checksums are not compared: the connection and the grammar of JSON protect a
// body better, and compress/gzip and compress/zlib take 50 kB of a Worker.
func deflated(body []byte) []byte {
	if len(body) < 2 {
		return nil
	}
	switch first, second := body[0], body[1]; {
	case first == 0x1f && second == 0x8b:
		return afterGzipHeader(body)
	case first&0x8f == 8 && first != '8' && (uint(first)<<8|uint(second))%31 == 0: // RFC 1950, 2.2
		return body[2:]
	}
	return nil
}

// afterGzipHeader returns what follows the header of RFC 1952, 2.3, nothing if it
// is cut off.
func afterGzipHeader(b []byte) []byte {
	const hasSum, hasExtra, hasName, hasComment = 1 << 1, 1 << 2, 1 << 3, 1 << 4
	if len(b) < 10 {
		return b[:0]
	}
	flags, b := b[3], b[10:]
	if flags&hasExtra != 0 {
		if len(b) < 2 {
			return b[:0]
		}
		b = b[min(len(b), 2+int(binary.LittleEndian.Uint16(b))):]
	}
	for _, text := range []byte{hasName, hasComment} {
		if flags&text != 0 {
			_, b, _ = bytes.Cut(b, []byte{0})
		}
	}
	if flags&hasSum != 0 {
		b = b[min(len(b), 2):]
	}
	return b
}

// byteOrderMark may stand before a JSON text (RFC 8259, 8.1).
var byteOrderMark = []byte("\ufeff")

// normalize is open for a body that is not compressed. A body that is in that form
// already, as nearly all are, is checked in one pass and returned as it is.
func (l Limits) normalize(body []byte) ([]byte, error) {
	l = l.withDefaults()
	body = bytes.TrimPrefix(body, byteOrderMark)
	if err := l.measure(body); err != nil {
		return body, err
	}
	if jsontext.Value(body).IsValid() {
		return body, nil
	}
	tolerant := []jsontext.Options{jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)}
	if !jsontext.Value(body).IsValid(tolerant...) {
		return body, errBadJSON
	}
	plain, err := jsontext.AppendFormat(nil, body, tolerant...)
	if err != nil {
		return body, errBadJSON
	}
	if plain = lastOfEachName(plain); len(plain) > l.MaxBodyBytes {
		return body, errBadText // a replacement character has three bytes
	}
	return plain, nil
}

// lastOfEachName removes all but the last member of a name from each object of a
// valid JSON text. Equal names must be spelled alike.
func lastOfEachName(b []byte) []byte {
	var open []*objectNames // nil for an array
	var cuts []loosejson.Span
	name := false // the next string is one
	for i := 0; i < len(b); {
		switch c := b[i]; c {
		case '{':
			open, name = append(open, &objectNames{index: map[string]int{}}), true
		case '[':
			open, name = append(open, nil), false
		case '}', ']':
			open = open[:len(open)-1]
		case ',':
			name = open[len(open)-1] != nil
		case '"':
			end := jsonscan.StringEnd(b, i)
			if name {
				cuts = open[len(open)-1].add(string(b[i:end]), i, cuts)
			}
			i, name = end, false
			continue
		}
		i++
	}
	slices.SortFunc(cuts, func(a, b loosejson.Span) int { return cmp.Compare(a.From, b.From) })
	out, at := make([]byte, 0, len(b)), 0
	for _, c := range cuts {
		if c.From >= at { // otherwise it is inside what is cut already
			out, at = append(out, b[at:c.From]...), c.To
		}
	}
	return append(out, b[at:]...)
}

// objectNames are the names of an object so far.
type objectNames struct {
	index map[string]int
	begin []int // of each member
}

// add notes a member and, if its name was there before, that the earlier member is
// to be cut, with the comma behind it.
func (o *objectNames) add(name string, begin int, cuts []loosejson.Span) []loosejson.Span {
	o.begin = append(o.begin, begin)
	if n, twice := o.index[name]; twice {
		cuts = append(cuts, loosejson.Span{From: o.begin[n], To: o.begin[n+1]})
	}
	o.index[name] = len(o.begin) - 1
	return cuts
}
