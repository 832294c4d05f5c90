package inspect

import (
	"slices"
	"time"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
)

// A transcriptItem is one thing in the conversation: a message or a tool
// request.
type transcriptItem struct {
	Message *message
	Tool    *toolView

	at time.Time
}

// A message is what the assistant or the caller said.
type message struct {
	ID                   string
	Assistant            bool
	Text                 string
	At                   time.Duration // since the first event of the call
	Unspoken             []string      // what the assistant could not say, because the caller spoke
	Interrupted          bool          // by the caller
	Superseded           bool          // no longer part of the conversation
	Speech, Model, Voice float64       // ms, that recognition, the model and the voice took
}

// A turn is how long an answer of the assistant took, in ms.
type turn struct {
	N                           int
	Speech, Model, Voice, Total float64
	Scale                       float64 // of all turns
	Text                        string
}

// addTranscript lists messages and tool requests in the order in which they
// arrived here.
func (v *callView) addTranscript() {
	arrived := arrivals(v.Call)
	cut := interrupted(v.Call)
	for i, m := range v.Transcript {
		if !m.Spoken() {
			continue
		}
		msg := &message{ID: m.ID, Assistant: m.FromAssistant(), Text: v.Text(m.Text), At: arrived[i].Sub(v.FirstSeen), Interrupted: cut[i]}
		for _, s := range m.Interrupted {
			msg.Unspoken = append(msg.Unspoken, v.Text(s.Text))
		}
		msg.Speech, msg.Model, msg.Voice = latencies(m)
		v.Items = append(v.Items, transcriptItem{Message: msg, at: arrived[i]})
	}
	for i, t := range v.Tools {
		v.Items = append(v.Items, transcriptItem{Tool: &v.Tools[i], at: t.ReceivedAt})
	}
	slices.SortStableFunc(v.Items, func(a, b transcriptItem) int { return a.at.Compare(b.at) })
	for _, m := range v.Superseded {
		v.Items = append(v.Items, transcriptItem{Message: &message{ID: m.ID, Assistant: m.FromAssistant(), Text: v.Text(m.Text), Superseded: true}})
	}
}

// arrivals returns when each message of the conversation arrived here: with the
// event that brought it. The sender's own times are by another clock.
func arrivals(c calls.Call) []time.Time {
	at := make([]time.Time, len(c.Transcript))
	for i := range at {
		at[i] = c.LastSeen
	}
	for _, e := range c.Events {
		for i := e.PrefixLen; i < e.PrefixLen+e.Added && i < len(at); i++ {
			at[i] = e.Received
		}
	}
	return at
}

// interrupted returns which messages the caller interrupted, by the statistics
// of the report. A turn there names the caller's message that it answers; if it
// does not, turns and messages are matched in order.
func interrupted(c calls.Call) map[int]bool {
	cut := map[int]bool{}
	if c.Info.Metrics == nil {
		return cut
	}
	var answers []int // positions of the assistant's messages
	answerTo := map[string]int{}
	last := ""
	for i, m := range c.Transcript {
		if !m.Spoken() {
			continue
		}
		if !m.FromAssistant() {
			last = m.ID
			continue
		}
		answers = append(answers, i)
		if _, there := answerTo[last]; !there && last != "" {
			answerTo[last] = i
		}
	}
	turns := c.Info.Metrics.Stats.TurnStats.Assistant
	for n, t := range turns {
		if !t.Interrupted {
			continue
		}
		if i, ok := answerTo[t.UserMessageID]; ok && t.UserMessageID != "" {
			cut[i] = true
		} else if len(turns) == len(answers) {
			cut[answers[n]] = true
		}
	}
	return cut
}

// latencies returns what a message took, in ms: to recognize speech, for the
// model and for the voice. The sender reports -1 for what it did not measure.
func latencies(m event.Message) (speech, model, voice float64) {
	x := m.Metrics
	if x == nil {
		return 0, 0, 0
	}
	return max(x.STT.RelativeLatency, 0) + max(x.EndOfUtterance.TurnDetection, 0),
		max(x.LLM.Queue, 0) + max(x.LLM.Response, 0),
		max(x.TTS.Queue, 0) + max(x.TTS.Generation, 0)
}

// addTurns joins the latency of a message of the caller with that of its
// answer.
func (v *callView) addTurns() {
	callerSpeech, longest := 0.0, 0.0
	for _, m := range v.Transcript {
		if m.Metrics == nil {
			continue
		}
		speech, model, voice := latencies(m)
		if !m.FromAssistant() {
			callerSpeech = speech
			continue
		}
		t := turn{N: len(v.Turns) + 1, Speech: callerSpeech, Model: model, Voice: voice, Total: callerSpeech + model + voice, Text: v.Text(m.Text)}
		callerSpeech = 0
		if t.Total > 0 {
			v.Turns = append(v.Turns, t)
			longest = max(longest, t.Total)
		}
	}
	for i := range v.Turns {
		v.Turns[i].Scale = longest
	}
}
