package event

import (
	"testing"
	"time"
)

// traps are the contradictions between the sender's documents, numbered as the
// rows of docs/events.md#traps, as far as one event shows them. The others:
// 10 and 11 need several events (core/traps_test.go); 19 is a rule for readers of
// Duration, in its comment; 27 is the two names of the secret's header
// (core/auth); 31 and 32 are shapes and methods of tool calls (core/tool_test.go,
// coretest/testdata/adapter); 34 is the single delivery
// (coretest/inbox_cases.go); 29 and 33 concern the API's client; 35, 36 and 37
// are webhooks that are not events (TestDecodeErrors).
var traps = []struct {
	name    string
	message string
	got     func(e Event) any
	want    any
}{
	{"row01 status: call.status wins", `{"type":"status-update","status":"completed","call":{"id":"a","status":"ongoing"}}`, status, StatusOngoing},
	{"row01 status: message.status if the first is empty", `{"type":"status-update","status":"completed","call":{"id":"a","status":""}}`, status, StatusFinished},
	{"row01 status: message.status if the first is absent", `{"type":"status-update","status":"ringing","call":{"id":"a"}}`, status, StatusQueued},
	{"row01 status: null is empty", `{"type":"status-update","status":"ended","call":{"id":"a","status":null}}`, status, StatusFinished},
	{"row02 end: finished", `{"type":"status-update","call":{"id":"a","status":"finished"}}`, status, StatusFinished},
	{"row02 end: completed", `{"type":"status-update","call":{"id":"a","status":"completed"}}`, status, StatusFinished},
	{"row02 end: ended", `{"type":"status-update","call":{"id":"a","status":"ended"}}`, status, StatusFinished},
	{"row03 vocabulary: unknown words are kept", `{"type":"status-update","call":{"id":"a","status":"Parked"}}`, status, Status("Parked")},
	{"row03 vocabulary: the word as sent", `{"type":"status-update","call":{"id":"a","status":"ended"}}`, func(e Event) any { return e.Call.RawStatus }, "ended"},
	{"row04 initiated", `{"type":"status-update","call":{"id":"a","status":"initiated"}}`, status, StatusInitiated},
	{"row05 failure: in call.status", `{"type":"status-update","call":{"id":"a","status":"failed"}}`, status, StatusFailed},
	{"row05 failure: busy in call.status", `{"type":"status-update","call":{"id":"a","status":"busy"}}`, status, StatusFailed},
	{"row05 failure: no-answer in phoneCallStatus", `{"type":"status-update","call":{"id":"a","status":"queued","phoneCallStatus":"no-answer"}}`, status, StatusFailed},
	{"row05 failure: in phoneCallStatus of a finished call", `{"type":"status-update","call":{"id":"a","status":"finished","phoneCallStatus":"failed"}}`, status, StatusFailed},
	{"row05 failure: in phoneCallStatus alone", `{"type":"status-update","call":{"id":"a","phoneCallStatus":"busy"}}`, status, StatusFailed},
	{"row05 failure: of a transfer's leg", `{"type":"status-update","call":{"id":"a","status":"ongoing","phoneCallStatus":"no-answer"}}`, status, StatusOngoing},
	{"row05 failure: of a leg of a forwarded call", `{"type":"status-update","call":{"id":"a","status":"forwarded","phoneCallStatus":"busy"}}`, status, StatusForwarded},
	{"row05 failure: of a leg, in the older place", `{"type":"status-update","status":"in-progress","call":{"id":"a","phoneCallStatus":"failed"}}`, status, StatusOngoing},
	{"row05 failure: of a leg of a call that was spoken", `{"type":"status-update","call":{"id":"a","status":"finished","phoneCallStatus":"no-answer","assistantCallDuration":52648}}`, status, StatusFinished},
	{"row05 failure: the call's own word stays", `{"type":"status-update","call":{"id":"a","status":"failed","assistantCallDuration":52648}}`, status, StatusFailed},
	{"row06 independent: queued, in-progress", `{"type":"status-update","call":{"id":"a","status":"queued","phoneCallStatus":"in-progress"}}`, status, StatusQueued},
	{"row06 independent: finished, ringing", `{"type":"status-update","call":{"id":"a","status":"finished","phoneCallStatus":"ringing"}}`, status, StatusFinished},
	{"row06 independent: ongoing, completed", `{"type":"status-update","call":{"id":"a","status":"ongoing","phoneCallStatus":"completed"}}`, status, StatusOngoing},
	{"row06 independent: nothing, completed", `{"type":"status-update","call":{"id":"a","phoneCallStatus":"completed"}}`, status, Status("")},
	{"row07 who ended: bot", `{"type":"x","call":{"id":"a","callEndTriggerBy":"bot"}}`, endedBy, "assistant"},
	{"row07 who ended: assistant", `{"type":"x","call":{"id":"a","callEndTriggerBy":"assistant"}}`, endedBy, "assistant"},
	{"row07 who ended: user", `{"type":"x","call":{"id":"a","callEndTriggerBy":"user"}}`, endedBy, "user"},
	{"row07 who ended: system", `{"type":"x","call":{"id":"a","callEndTriggerBy":"system"}}`, endedBy, "system"},
	{"row07 who ended: not yet", `{"type":"x","call":{"id":"a","callEndTriggerBy":""}}`, endedBy, ""},
	{"row08 event time: ms", `{"type":"x","timestamp":1784044931823}`, eventTime, millis(1784044931823)},
	{"row08 event time: absent", `{"type":"x"}`, eventTime, atReceipt},
	{"row08 event time: null", `{"type":"x","timestamp":null}`, eventTime, atReceipt},
	{"row08 event time: ISO", `{"type":"x","timestamp":"2026-07-14T16:02:11.823Z"}`, eventTime, millis(1784044931823)},
	{"row09 message time: ms", `{"type":"x","messages":[{"timestamp":1784044932074}]}`, saidAt, millis(1784044932074)},
	{"row09 message time: ISO", `{"type":"x","messages":[{"timestamp":"2026-07-14T16:02:12.074Z"}]}`, saidAt, millis(1784044932074)},
	{"row09 message time: s", `{"type":"x","messages":[{"timestamp":1784044932.074}]}`, saidAt, millis(1784044932074)},
	{"row11 start", `{"type":"x","call":{"startAt":"2026-07-14T16:02:11.854Z"}}`, func(e Event) any { return e.Call.StartedAt }, millis(1784044931854)},
	{"row12 end: null", `{"type":"x","call":{"endAt":null}}`, func(e Event) any { return e.Call.EndedAt }, time.Time{}},
	{"row12 end: ISO", `{"type":"x","call":{"endAt":"2026-07-14T16:02:11.854Z"}}`, func(e Event) any { return e.Call.EndedAt }, millis(1784044931854)},
	{"row13 messages: the event's", `{"type":"x","messages":[{"text":"a"}],"call":{"messages":[{"text":"b"}]}}`, said, "a"},
	{"row13 messages: the call's if the event's are empty", `{"type":"x","messages":[ ],"call":{"messages":[{"text":"b"}]}}`, said, "b"},
	{"row13 messages: the call's if the event's are null", `{"type":"x","call":{"messages":[{"text":"b"}]},"messages":null}`, said, "b"},
	{"row13 messages: the call's alone", `{"type":"x","call":{"messages":[{"text":"b"}]}}`, said, "b"},
	{"row14 messages in a status-update", `{"type":"status-update","messages":[{"text":"a"}]}`, said, "a"},
	{"row14 messages are optional", `{"type":"conversation-update"}`, said, ""},
	{"row15 analysis: field by field", `{"type":"x","analysis":{"summary":"A.","structuredData":{}},"call":{"analysis":{"summary":"B.","successEvaluation":"Good","structuredData":{"k":1}}}}`,
		func(e Event) any { return e.Analysis.Summary + e.Analysis.Success + string(e.Analysis.Structured) }, `A.Good{"k":1}`},
	{"row16 guardrails: the event's", `{"type":"x","analysis":{"guardrails":"PASSED"},"call":{"analysis":{"guardrails":"DISABLED"}}}`, func(e Event) any { return e.Analysis.Guardrails }, "PASSED"},
	{"row16 guardrails: the call's", `{"type":"x","analysis":{},"call":{"analysis":{"guardrails":"DISABLED"}}}`, func(e Event) any { return e.Analysis.Guardrails }, "DISABLED"},
	{"row17 success: a word", `{"type":"x","analysis":{"successEvaluation":"Excellent"}}`, success, "Excellent"},
	{"row17 success: a number", `{"type":"x","analysis":{"successEvaluation":7}}`, success, "7"},
	{"row17 success: a boolean", `{"type":"x","analysis":{"successEvaluation":false}}`, success, "false"},
	{"row17 success: null", `{"type":"x","analysis":{"successEvaluation":null}}`, success, ""},
	{"row18 durations: the call's in ms", `{"type":"x","call":{"assistantCallDuration":41683}}`, func(e Event) any { return e.Call.Duration() }, 41683 * time.Millisecond},
	{"row18 durations: the cost's in s", `{"type":"x","call":{"cost":{"callDuration":41.676}}}`, func(e Event) any { return e.Call.Cost.Duration() }, 41676 * time.Millisecond},
	{"row20 assistant: call.assistantId wins", `{"type":"x","call":{"assistantId":"b"},"assistant":{"_id":"a"}}`, func(e Event) any { return e.Call.AssistantID }, "b"},
	{"row20 assistant: else _id", `{"type":"x","call":{},"assistant":{"_id":"a"}}`, func(e Event) any { return e.Call.AssistantID }, "a"},
	{"row20 assistant: id is none", `{"type":"x","call":{},"assistant":{"id":"a"}}`, func(e Event) any { return e.Call.AssistantID }, ""},
	{"row21 languages: text", `{"type":"x","assistant":{"config":{"speech":{"stt":{"languages":"es"}}}}}`, languages, "es"},
	{"row21 languages: list", `{"type":"x","assistant":{"config":{"speech":{"stt":{"languages":["en-US","es"]}}}}}`, languages, "en-US es"},
	{"row22 call forward: list", `{"type":"x","assistant":{"callForwardData":[1]}}`, func(e Event) any { return string(e.Assistant.CallForward) }, `[1]`},
	{"row22 call forward: object", `{"type":"x","assistant":{"callForwardData":{"name":"n"}}}`, func(e Event) any { return string(e.Assistant.CallForward) }, `{"name":"n"}`},
	{"row23 cost and metrics: absent", `{"type":"x","call":{}}`, priced, "nil nil"},
	{"row23 cost and metrics: null", `{"type":"x","call":{"cost":null,"metrics":null}}`, priced, "nil nil"},
	{"row23 cost and metrics: empty", `{"type":"x","call":{"cost":{},"metrics":{ }}}`, priced, "nil nil"},
	{"row23 cost and metrics: zero is something", `{"type":"x","call":{"cost":{"totalCost":0},"metrics":{"callStats":{}}}}`, priced, "cost metrics"},
	{"row24 call id: any form, any case", `{"type":"x","call":{"id":"conv_5B0c"}}`, func(e Event) any { return e.Call.ID }, CallID("conv_5B0c")},
	{"row24 call id: digits are not rounded", `{"type":"x","call":{"id":9007199254740993}}`, func(e Event) any { return e.Call.ID }, CallID("9007199254740993")},
	{"row25 message id: opaque", `{"type":"x","messages":[{"messageId":"user-1-response-1784044939876"}]}`, func(e Event) any { return e.Transcript()[0].ID }, "user-1-response-1784044939876"},
	{"row26 skipped: text", `{"type":"x","messages":[{"skippedAssistantMessages":[{"messageId":"m","text":"t"}]}]}`, skipped, InterruptedMessage{ID: "m", Text: "t"}},
	{"row26 skipped: botMessage", `{"type":"x","messages":[{"skippedBotMessages":[{"botMessageId":"m","botMessage":"t","isImportant":true}]}]}`, skipped, InterruptedMessage{ID: "m", Text: "t", Important: true}},
	{"row26 skipped: botMessage under the newer name", `{"type":"x","messages":[{"skippedAssistantMessages":[{"botMessageId":"m","botMessage":"t"}]}]}`, skipped, InterruptedMessage{ID: "m", Text: "t"}},
	{"row28 configuration: assistantServer", `{"type":"x","assistant":{"server":{"url":"https://b.example.com"},"assistantServer":{"url":"https://a.example.com"}}}`, serverURL, "https://a.example.com"},
	{"row28 configuration: no other place", `{"type":"x","assistant":{"server":{"url":"https://b.example.com"}}}`, serverURL, ""},
	{"row30 types: an open set", `{"type":"transcript-ready"}`, func(e Event) any { return e.Type }, Type("transcript-ready")},
	{"row38 welcome mode: an open set", `{"type":"x","assistant":{"welcomeMessageMode":"assistant-waits-for-user"}}`, func(e Event) any { return e.Assistant.WelcomeMode }, "assistant-waits-for-user"},
	{"row39 casing: details stay as they are", `{"type":"error","error":{"details":{"limit_type":"x"}}}`, func(e Event) any { return string(e.Error.Details) }, `{"limit_type":"x"}`},
	{"row40 no type but elsewhere: the rest is in TestDecodeErrors", `{"type":"x","call":{"type":"y"}}`, func(e Event) any { return e.Type }, Type("x")},
}

func status(e Event) any { return e.Status }

func endedBy(e Event) any { return e.Call.EndedBy() }

func eventTime(e Event) any { return e.Time }

func saidAt(e Event) any { return e.Transcript()[0].Time }

func success(e Event) any { return e.Analysis.Success }

func serverURL(e Event) any { return e.Assistant.Server.URL }

func skipped(e Event) any { return e.Transcript()[0].Interrupted[0] }

func said(e Event) any {
	s := ""
	for _, m := range e.Transcript() {
		s += m.Text
	}
	return s
}

func languages(e Event) any {
	s := ""
	for i, l := range e.Assistant.Config.Speech.STT.Languages {
		if i > 0 {
			s += " "
		}
		s += l
	}
	return s
}

func priced(e Event) any {
	cost, metrics := "nil", "nil"
	if e.Call.Cost != nil {
		cost = "cost"
	}
	if e.Call.Metrics != nil {
		metrics = "metrics"
	}
	return cost + " " + metrics
}

func TestTraps(t *testing.T) {
	for _, r := range traps {
		t.Run(r.name, func(t *testing.T) {
			same(t, r.name, r.got(decoded(t, []byte(`{"message":`+r.message+`}`))), r.want)
		})
	}
}

func TestStatusWords(t *testing.T) {
	for word, want := range map[string]Status{
		"":          "",
		"initiated": StatusInitiated, "scheduled": StatusInitiated, "received": StatusInitiated,
		"queued": StatusQueued, "trying": StatusQueued, "early-media": StatusQueued, "ringing": StatusQueued, "ready": StatusQueued,
		"ongoing": StatusOngoing, "in-progress": StatusOngoing, "processing": StatusOngoing,
		"forwarded": StatusForwarded, "forwarding": StatusForwarded,
		"finished": StatusFinished, "completed": StatusFinished, "ended": StatusFinished,
		"failed": StatusFailed, "busy": StatusFailed, "no-answer": StatusFailed,
		"something-new": "something-new",
	} {
		if got := statusOf(word); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

func TestStatusOrder(t *testing.T) {
	order := []Status{"", StatusInitiated, StatusQueued, StatusOngoing, StatusForwarded, StatusFinished, StatusFailed}
	for i, s := range order {
		if i > 0 && s.Rank() <= order[i-1].Rank() {
			t.Errorf("%q is not after %q", s, order[i-1])
		}
		if want := s == StatusFinished || s == StatusFailed; s.Terminal() != want {
			t.Errorf("%q: terminal is %v, want %v", s, s.Terminal(), want)
		}
	}
	if s := Status("something-new"); s.Rank() != StatusOngoing.Rank() || s.Terminal() {
		t.Errorf("an unknown word ranks as ongoing; rank %d", s.Rank())
	}
}

func TestFromAssistant(t *testing.T) {
	for role, want := range map[string]bool{"assistant": true, "Assistant": true, "agent": true, "BOT": true, "user": false, "User": false, "system": false, "": false} {
		if got := (Message{Role: role}).FromAssistant(); got != want {
			t.Errorf("%q: got %v, want %v", role, got, want)
		}
	}
}
