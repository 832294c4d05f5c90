package simulate

import (
	"fmt"
	"time"
)

// legacy returns an event in the legacy layout: the status next to the call, the
// messages inside it, times as text, and no timestamp.
func legacy(e object) object {
	m := e["message"].(object)
	old := m["call"].(object)
	o := object{}
	for k, v := range old {
		o[k] = v
	}
	out := object{"type": m["type"], "call": o}
	for _, k := range []string{"error", "analysis"} {
		if v, ok := m[k]; ok {
			out[k] = v
		}
	}
	if m["type"] == "status-update" {
		out["status"] = o["status"]
		if o["status"] == "finished" {
			out["status"] = "completed"
		}
	}
	if messages, ok := m["messages"].([]object); ok {
		var list []object
		for _, s := range messages {
			at, _ := s["timestamp"].(int64)
			list = append(list, object{"messageId": s["messageId"], "role": s["role"], "text": s["text"], "timestamp": iso(time.UnixMilli(at))})
		}
		o["messages"] = list
	}
	o["monitor"] = object{"controlUrl": "https://control.example.com/calls/v1/conversations/" + fmt.Sprint(o["id"]) + "/control"}
	return object{"message": out}
}
