package main

import (
	"bytes"
	"strings"
	"testing"
)

// The definitions have references, never secrets.
func TestTools(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{nil, 0, "https://YOUR-SERVER/tools/book_appointment"},
		{[]string{"--json"}, 0, `"secret": "${SERVERURL_SECRET}"`},
		{[]string{"--json", "--secret-ref", "{{desk}}", "--header", "X-Call-Id: {{call.id}}"}, 0, `"X-Call-Id": "{{call.id}}"`},
		{[]string{"--json", "--url", "https://desk.example.com/", "--query", "clinic=north"}, 0, `"url": "https://desk.example.com/tools/opening_hours?clinic=north"`},
		{[]string{"--tenant", "north"}, 0, "https://YOUR-SERVER/tools/book_appointment"},
		{[]string{"--json", "--secret-ref", "canary"}, 2, "write a reference, such as ${NAME}"},
		{[]string{"--header", "Authorization: Bearer canary"}, 2, `header "Authorization"`},
		{[]string{"--header", "X-Clinic"}, 2, "--header takes NAME:VALUE"},
	} {
		var out, errs bytes.Buffer
		code := run(t.Context(), append([]string{"tools"}, c.args...), &out, &errs)
		if all := out.String() + errs.String(); code != c.code || !strings.Contains(all, c.want) || strings.Contains(all, "canary") {
			t.Errorf("%q: %d %s %s", c.args, code, &out, &errs)
		}
	}
}
