package coretest

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"fmt"
	"io"
	"slices"
	"strings"
)

// generatedCases are large or binary: as files they would be unreadable.
var generatedCases = []struct {
	name, why      string
	path, encoding string // default: /events, none
	body           func() []byte
	want           string
}{
	{"body-at-the-limit", "6 MiB are accepted", "", "", func() []byte {
		return conversation(strings.Repeat("x", 1<<19), 6<<20)
	}, acceptedReply},
	{"body-over-the-limit", "one byte more is rejected unread", "", "", func() []byte {
		return conversation(strings.Repeat("x", 1<<19), 6<<20+1)
	}, tooLarge},
	{"tool-body-over-the-limit", "a caller is on the line", findSlots, "", func() []byte {
		return conversation(strings.Repeat("x", 1<<19), 6<<20+1)
	}, unread},
	{"body-too-deep", "depth is bounded, so that no decoder overflows its stack", "", "", func() []byte {
		return []byte(strings.Repeat("[", 100_000))
	}, badRequest},
	{"tool-body-too-deep", "a caller is on the line", findSlots, "", func() []byte {
		return []byte(strings.Repeat("[", 100_000))
	}, unread},
	{"body-of-many-tokens", "a small body must not become a large one in memory", "", "", func() []byte {
		return []byte("[" + strings.Repeat("{},", 1<<20) + "{}]")
	}, badRequest},
	{"body-of-bad-utf8", "a browser reads it as replacement characters", "", "", func() []byte {
		return []byte("{\"message\":{\"type\":\"hang\",\"call\":{\"id\":\"CA-1\"},\"text\":\"J\xfcrgen\"}}")
	}, acceptedReply},
	{"body-in-gzip", "some senders compress what is large", "", "gzip", gzipped(smallEvent), acceptedReply},
	{"body-in-gzip-without-a-label", "the body decides", "", "", gzipped(smallEvent), acceptedReply},
	{"body-in-zlib", "deflate as RFC 9110 defines it", "", "deflate", deflated(smallEvent, true), acceptedReply},
	{"body-in-raw-deflate", "deflate as many send it", "", "deflate", deflated(smallEvent, false), acceptedReply},
	{"body-of-broken-gzip", "it is quarantined", "", "gzip", func() []byte { return gzipped(smallEvent)()[:40] }, unsupported},
	{"body-in-another-encoding", "it is quarantined", "", "br", func() []byte { return []byte("\x8b\x02\x80abc\x03") }, unsupported},
	{"body-of-a-bomb", "it is unpacked up to the limit and no further", "", "gzip", gzipped("[" + strings.Repeat(" ", 16<<20) + "]"), tooLarge},
	{"tool-body-in-gzip", "a caller is on the line", findSlots, "gzip", gzipped(plainSlots), asPlain},
	{"tool-body-in-raw-deflate", "a caller is on the line", findSlots, "deflate", deflated(plainSlots, false), asPlain},
	{"tool-body-of-broken-gzip", "a caller is on the line", findSlots, "gzip", func() []byte { return gzipped(smallEvent)()[:40] }, unread},
	{"tool-body-in-another-encoding", "a caller is on the line", findSlots, "br", func() []byte { return []byte("\x8b\x02\x80abc\x03") }, unread},
	{"tool-body-of-a-bomb", "a caller is on the line", findSlots, "gzip", gzipped("[" + strings.Repeat(" ", 16<<20) + "]"), unread},
}

const (
	acceptedReply = "200\ncontent-type: application/json\n\n{}"
	badRequest    = "400\ncontent-type: application/json\n\n" + `{"error":"bad request"}`
	tooLarge      = "413\ncontent-type: application/json\n\n" + `{"error":"too large"}`
	unsupported   = "415\ncontent-type: application/json\n\n" + `{"error":"unsupported media type"}`
	unread        = "200\ncontent-type: application/json\n\n" + `{"result":"The arguments could not be read. Call the tool again with a JSON object of its arguments."}`

	asPlain    = "" // the same as for plainSlots
	plainSlots = `{"date":"2035-07-17"}`
	findSlots  = "/tools/find_open_slots"
	smallEvent = `{"message":{"timestamp":1784044931823,"type":"status-update","call":{"id":"CA-packed","status":"ongoing"}}}`
)

func gzipped(body string) func() []byte {
	return func() []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = io.WriteString(w, body) // a buffer takes everything
		_ = w.Close()
		return b.Bytes()
	}
}

func deflated(body string, withHeader bool) func() []byte {
	return func() []byte {
		var b bytes.Buffer
		var w io.WriteCloser = zlib.NewWriter(&b)
		if !withHeader {
			w, _ = flate.NewWriter(&b, flate.DefaultCompression)
		}
		_, _ = io.WriteString(w, body)
		_ = w.Close()
		return b.Bytes()
	}
}

// conversation returns a conversation-update of exactly size bytes, whose
// messages are prefixes of text.
func conversation(text string, size int) []byte {
	b := []byte(`{"message":{"type":"conversation-update","call":{"id":"CA-large","status":"ongoing"},"messages":[`)
	const end = `]}}`
	for n := 0; ; n++ {
		m := fmt.Appendf(nil, `{"messageId":"user-%d","role":"user","text":"`, n)
		space := size - len(b) - len(m) - len(`"}`) - len(end)
		if n > 0 {
			space--
			b = append(b, ',')
		}
		last := space <= len(text)
		b = append(append(append(b, m...), text[:min(space, len(text))]...), `"}`...)
		if last || space-len(text) < 100 {
			b = append(b, bytes.Repeat([]byte{' '}, max(0, size-len(b)-len(end)))...)
			return slices.Concat(b, []byte(end))
		}
	}
}
