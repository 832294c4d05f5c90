package main

import (
	"testing"

	"github.com/serverurl/serverurl/core/calls"
)

// Of a run without a stored result, what the caller heard is in a recorded request.
func TestAnswered(t *testing.T) {
	request := func(tool, args, result string) calls.StoredToolRequest {
		return calls.StoredToolRequest{ToolRequest: calls.ToolRequest{Tool: tool, Args: []byte(args), Result: result}}
	}
	requests := []calls.StoredToolRequest{request("book", `{"day":1}`, "Still at it."), request("book", `{"day":1}`, "I cannot tell."), request("book", `{"day":2}`, "No."), request("cancel", `{"day":1}`, "No.")}
	for _, c := range []struct {
		run  calls.ToolRun
		want string
	}{
		{calls.ToolRun{Tool: "book", Args: []byte(`{"day":1}`), Result: "Booked."}, " → Booked."},
		{calls.ToolRun{Tool: "book", Args: []byte(`{"day":1}`), State: "unknown"}, "; the caller heard: I cannot tell."},
		{calls.ToolRun{Tool: "book", Args: []byte(`{"day":3}`), State: "unknown"}, ""},
	} {
		if got := answered(c.run, requests); got != c.want {
			t.Errorf("%+v: %q, want %q", c.run, got, c.want)
		}
	}
}
