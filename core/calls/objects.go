package calls

import (
	"bytes"
	"cmp"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A layer is what one event says of the objects of its call.
type layer struct {
	event.Event
	message map[string]jsontext.Value
}

// mergeObjects merges the objects of the events into c. Reports override
// everything else, then the further status, then the later time of sending.
// The order of arrival has no influence, so that all instances agree.
func mergeObjects(c *Call, entries []callstate.Entry) {
	layers := layersOf(entries)
	slices.SortStableFunc(layers, func(a, b layer) int {
		return cmp.Or(cmp.Compare(source(a.Event), source(b.Event)), cmp.Compare(a.Status.Rank(), b.Status.Rank()),
			a.Time.Compare(b.Time), a.Received.Compare(b.Received), bytes.Compare(a.Raw, b.Raw))
	})
	whole := map[string]any{"type": event.TypeReport}
	for _, name := range []string{"call", "assistant", "phone", "customer", "analysis"} {
		members := map[string]jsontext.Value{}
		for _, l := range layers {
			overlay(members, l.message[name])
		}
		whole[name] = members
	}
	message, err := json.Marshal(map[string]any{"message": whole})
	if err != nil {
		return
	}
	if e, err := event.Decode(message, c.LastSeen); err == nil {
		c.Info, c.Assistant, c.Phone, c.Customer, c.Analysis = e.Call, e.Assistant, e.Phone, e.Customer, e.Analysis
	}
}

// layersOf returns what each different body says. One that was sent again counts
// as sent at the last of its times.
func layersOf(entries []callstate.Entry) []layer {
	layers := make([]layer, 0, len(entries))
	layerOf := map[int]int{} // by the number of its entry
	for i, r := range entries {
		if len(r.Body) == 0 {
			if n, ok := layerOf[r.SameBodyAs]; ok {
				l := &layers[n]
				l.Received = later(l.Received, r.Received)
				l.Time = later(l.Time, loosejson.Time(r.Timestamp))
			}
			continue
		}
		e, err := event.Decode(r.Body, r.Received)
		if err != nil {
			continue
		}
		e.Backfilled = r.Backfilled
		layerOf[i+1] = len(layers)
		layers = append(layers, layer{e, loosejson.Object(loosejson.Object(r.Body)["message"])})
	}
	return layers
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// source ranks who says something: see [event.Event.Backfilled].
func source(e event.Event) int {
	switch {
	case e.Type != event.TypeReport:
		return 0
	case e.Backfilled:
		return 1
	}
	return 2
}

// overlay puts the members of top in place of those of under. An empty member of
// top replaces nothing. The conversation is left out: it is large, and has its own
// merge.
func overlay(under map[string]jsontext.Value, top jsontext.Value) {
	for name, v := range loosejson.Object(top) {
		if name == "messages" {
			continue
		}
		if _, there := under[name]; !there || !loosejson.IsEmpty(v) {
			under[name] = v
		}
	}
}
