package core

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// What programs and dashboards send in place of an id that they do not have, in
// the situations in which they do.
var placeholders = []string{
	// The word of a language for none, as it is, quoted, or as printf writes it.
	"undefined", "null", "NONE", "nil", "NaN", "unknown", "n/a", "(null)", "<nil>", `""`, "''", `"undefined"`, "'null'", "`none`",
	"0", "-", "--", "false", "true", "[object Object]", "00000000-0000-0000-0000-000000000000",
	// Two headers of the same name, joined.
	"undefined, undefined", "null,null", "{{call.id}}, {{call.id}}", `"", ""`,
	// The name of the field, or its type in a schema.
	"id", "call_id", "callId", "call.id", "call-id", "call id", "CallSid", "string", "(string)", "uuid",
	// A variable of a template, a shell, a route, a query of SQL.
	"{{call.id}}", "{{ id }}", "{call}", "${CALL}", "$CALL_ID", "#{call.id}", "@{call.id}", "<call>", "<%= id %>", "[id]", "%ID%", "%7B%7Bid%7D%7D",
	":call_id", ":conversation", "@call.id", "@conversation.id", "__CALL_ID__", "__CONVERSATION__", "CA-{{call.id}}", "call/${id}",
	// Typed on a keyboard for Chinese or Japanese.
	"｛｛call｝｝", "＜id＞", "ｎｕｌｌ", "＂＂",
}

func TestPlaceholders(t *testing.T) {
	for _, id := range placeholders {
		if !isPlaceholder(id) || validID(id) {
			t.Errorf("%q is taken for an id", id)
		}
		if spaced := " " + strings.ToUpper(id) + "\t"; !isPlaceholder(spaced) {
			t.Errorf("%q is taken for an id", spaced)
		}
	}
	for _, id := range []string{
		"CA7c0f3b9e51d24a86b3f0a91d6e2c4478", "019a6f2e-7d1c-7b3a-9c55-0242ac120002", "WC-17", "1", "17", "100", "1784044931000", "-17",
		"a/b", "..%2f", "../x", "..", "📞", "📞-17", "call-1", "call_id_17", "id-7", "idaho", "nullable", "undefined-1", "string17", "trueblue",
		"a@b.example", "sip:17@pbx.example", "urn:uuid:019a6f2e", ":17", "@17", "a,b", "CA1, CA2", "undefined, CA1", "００７", "00000000-0000-0000-0000-000000000001",
	} {
		if isPlaceholder(id) || !validID(id) {
			t.Errorf("%q is not taken for an id", id)
		}
	}
}

// The ids that platforms make stay ids, and nothing that is around a placeholder
// makes an id of it.
func TestPlaceholderProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.SampledFrom([]string{"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", "CA[0-9a-f]{32}", "[1-9][0-9]{2,18}", "[a-z]{2}/[0-9]{3}"}).Draw(t, "form")
		if id = rapid.StringMatching(id).Draw(t, "id"); isPlaceholder(id) {
			t.Fatalf("%q is not taken for an id", id)
		}
		around := rapid.SampledFrom([]string{"%s", " %s ", `"%s"`, "'%s'", "(%s)", `("%s")`, "%[1]s, %[1]s"}).Draw(t, "around")
		word := rapid.SampledFrom([]string{"undefined", "null", "call_id", "call-id", "id", "0", "", "false", "string"}).Draw(t, "word")
		if s := fmt.Sprintf(around, word); strings.TrimSpace(s) != "" && !isPlaceholder(s) {
			t.Fatalf("%q is taken for an id", s)
		}
	})
}
