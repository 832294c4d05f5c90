// Package event defines what Interactly sends about a call, and decodes it
// (docs/events.md). It never fails because of a field: one that is missing or
// of an unexpected kind is left zero, and what has no Go field is in Event.Raw.
// It stores nothing and reads no clock.
//
//	e, err := event.Decode(body, time.Now())
//	if err != nil {
//		return err // not an event at all
//	}
//	fmt.Println(e.Type, e.Call.ID, e.Status, len(e.Transcript()))
package event
