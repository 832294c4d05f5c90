package sqlinbox

import (
	"bytes"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/serverurl/serverurl/core/event"
)

// An update is a conversation-update, which may stand for earlier ones of its
// call, because each repeats the conversation.
type update struct {
	call     event.CallID
	received time.Time
	body     []byte
	tried    bool // to be covered: it tells something of its own
}

// covers reports that u tells all that o tells: it is later, and has everything
// that o has where o has it, more messages at the end, and another time.
func (u *update) covers(o *update) bool {
	return u.call == o.call && u.received.After(o.received) && len(u.body) >= len(o.body) && contains(u.body, o.body, 0)
}

// maxDeep is how deep contains looks; below, values have to be equal.
const maxDeep = 4

func contains(u, o jsontext.Value, depth int) bool {
	if bytes.Equal(u, o) {
		return true
	}
	if depth == maxDeep || u.Kind() != o.Kind() {
		return false
	}
	switch o.Kind() {
	case '{':
		var us, os map[string]jsontext.Value
		if json.Unmarshal(u, &us) != nil || json.Unmarshal(o, &os) != nil || len(us) < len(os) {
			return false
		}
		for name, v := range os {
			w, there := us[name]
			if !there || name != "timestamp" && !contains(w, v, depth+1) {
				return false
			}
		}
		return true
	case '[':
		var us, os []jsontext.Value
		if json.Unmarshal(u, &us) != nil || json.Unmarshal(o, &os) != nil || len(us) < len(os) {
			return false
		}
		for i, v := range os {
			if !bytes.Equal(us[i], v) {
				return false
			}
		}
		return true
	}
	return false
}
