package event_test

import (
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// Decode an event. Fields that are missing or of an unexpected kind are zero.
func ExampleDecode() {
	body := []byte(`{"message":{"type":"conversation-update","timestamp":1784044932072,
		"call":{"id":"CA1","status":"in-progress","userNumber":["not a string"]},
		"messages":[{"role":"bot","text":"How can I help?"},{"role":"user","text":"A cleaning, please."}]}}`)
	e, err := event.Decode(body, time.Now())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(e.Type, e.Call.ID, e.Status, e.Time.Format(time.RFC3339))
	for _, m := range e.Transcript() {
		fmt.Println(m.FromAssistant(), m.Text)
	}
	// Output:
	// conversation-update CA1 ongoing 2026-07-14T16:02:12Z
	// true How can I help?
	// false A cleaning, please.
}
