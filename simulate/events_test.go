package simulate_test

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/serverurl/serverurl/simulate"
)

// everything has each kind of event, and most states of a call.
const everything = `
call: {metadata: {practiceId: prac_204, caller: "{{name}}"}}
steps:
  - status: initiated
  - status: queued
  - status: ongoing
  - assistant: Thanks for calling Bright Smile Dental.
  - assistant: How can I help?
  - caller: I'd like to book a cleaning.
  - assistant: Tuesday at nine?
  - caller: Yes.
    skipped: Or on Wednesday?
  - caller: Are you there?
  - hang: true
  - error: {type: llm_error, code: rate_limit_exceeded, message: Too many requests, provider: openai}
  - error: {type: stt_error, code: audio_quality_insufficient, message: Too much noise, provider: deepgram}
  - assistant: You are booked.
  - status: forwarded
  - wait: 10s
  - status: finished
    ended_by: bot
  - report: {summary: The caller booked., success: Excellent, outcome: booked, data: {phone number: "{{phone}}", visits: 0}}
`

// A fact is a property that payloads are known to have (docs/events.md).
type fact struct {
	what string // where in the body, and what it is for
	path string
	want any // a value, a kind of value, a pattern, or errMissing
}

// A kind is the JSON type of a value.
type kind string

const (
	aString  kind = "string"
	aNumber  kind = "number"
	aBool    kind = "boolean"
	aList    kind = "list"
	anObject kind = "object"
)

func kindOf(v any) kind {
	switch v.(type) {
	case string:
		return aString
	case float64:
		return aNumber
	case bool:
		return aBool
	case []any:
		return aList
	case map[string]any:
		return anObject
	}
	return kind(fmt.Sprint(v))
}

func checkFacts(t *testing.T, body any, facts ...fact) {
	t.Helper()
	for _, f := range facts {
		got := at(body, f.path)
		ok := same(got, f.want)
		switch want := f.want.(type) {
		case kind:
			ok = kindOf(got) == want
		case int:
			ok = same(got, float64(want))
		case *regexp.Regexp:
			s, isText := got.(string)
			ok = isText && want.MatchString(s)
		}
		if !ok {
			t.Errorf("%s: %s is %v, want %v", f.what, f.path, got, f.want)
		}
	}
}

func keys(v any, path string) string {
	m, _ := at(v, path).(map[string]any)
	return strings.Join(slices.Sorted(maps.Keys(m)), " ")
}

var (
	isoTime   = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`)
	objectID  = regexp.MustCompile(`^[0-9a-f]{24}$`)
	uuidShape = `[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-a[0-9a-f]{3}-[0-9a-f]{12}`
)

func TestEventsAreSentOnceInOrder(t *testing.T) {
	v := playAll(t, nil, everything)
	want := []string{"status-update", "status-update", "status-update", "conversation-update", "conversation-update", "conversation-update",
		"conversation-update", "conversation-update", "conversation-update", "hang", "error", "error", "conversation-update",
		"status-update", "status-update", "end-of-call-report"}
	var got []string
	for _, r := range v.requests() {
		got = append(got, r.kind())
		if r.method != "POST" || r.path != "/events" || len(r.query) > 0 {
			t.Errorf("%s %s?%s: want POST /events", r.method, r.path, r.query.Encode())
		}
		if h := r.header.Get("X-Interactly-Secret"); h != testSecret {
			t.Errorf("%s: secret %q", r.kind(), h)
		}
		if r.header.Get("Authorization") != "" || r.header.Get("Content-Type") != "application/json" {
			t.Errorf("%s: headers %v", r.kind(), r.header)
		}
		if ms := num(r.json, "message.timestamp"); ms != math.Trunc(ms) || ms < 9e11 {
			t.Errorf("%s: timestamp %v is not in milliseconds", r.kind(), ms)
		}
		if keys(r.json, "message") == "" || len(r.json.(map[string]any)) != 1 {
			t.Errorf("%s: the envelope has more than message", r.kind())
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("sent %q\nwant %q", got, want)
	}
}

func TestNoSecretNoHeader(t *testing.T) {
	v := playAll(t, func(o *simulate.Options) { o.Secret = "" }, everything)
	if h, ok := v.requests()[0].header["X-Interactly-Secret"]; ok {
		t.Errorf("header %q without a secret", h)
	}
}

func TestKeysOfEvents(t *testing.T) {
	v := playAll(t, nil, everything)
	call := "analysis assistantCallDuration assistantId assistantNumber assistantOverrides callEndTriggerBy callType direction id metadata phoneCallStatus phoneCallStatusReason recording startAt status teamId userNumber"
	plus := func(more ...string) string {
		return strings.Join(slices.Sorted(slices.Values(append(strings.Fields(call), more...))), " ")
	}
	for i, want := range []struct{ name, message, call string }{
		0:  {"initiated", "assistant call timestamp type", plus("endAt", "cost", "metrics")},
		1:  {"queued", "analysis assistant call customer phone timestamp type", call},
		2:  {"ongoing", "analysis assistant call customer phone timestamp type", call},
		3:  {"conversation-update", "analysis assistant call customer messages phone timestamp type", call},
		9:  {"hang", "analysis assistant call customer messages phone timestamp type", call},
		10: {"error", "analysis assistant call customer error messages phone timestamp type", call},
		14: {"finished", "analysis assistant call customer phone timestamp type", call},
		15: {"end-of-call-report", "analysis assistant call customer messages phone timestamp type", plus("endAt", "cost", "metrics")},
	} {
		if want.name == "" {
			continue
		}
		body := v.requests()[i].json
		if got := keys(body, "message"); got != want.message {
			t.Errorf("%s: message has %s\nwant %s", want.name, got, want.message)
		}
		if got := keys(body, "message.call"); got != want.call {
			t.Errorf("%s: message.call has %s\nwant %s", want.name, got, want.call)
		}
	}
}

func TestStatusUpdates(t *testing.T) {
	v := playAll(t, nil, everything)
	e := v.events("status-update")
	initiated, queued, ongoing, forwarded, finished := e[0].json, e[1].json, e[2].json, e[3].json, e[4].json
	checkFacts(t, initiated,
		fact{"initiated", "message.call.status", "initiated"},
		fact{"has no direction yet", "message.call.direction", ""},
		fact{"has not ended", "message.call.endAt", nil},
		fact{"cost nothing", "message.call.cost", nil},
		fact{"has no metrics", "message.call.metrics", map[string]any{}},
		fact{"has no telephony", "message.call.phoneCallStatus", ""},
	)
	checkFacts(t, queued,
		fact{"queued", "message.call.status", "queued"},
		fact{"rings already", "message.call.phoneCallStatus", "in-progress"},
		fact{"queued", "message.call.phoneCallStatusReason", "Call is in progress"},
		fact{"nobody ended it", "message.call.callEndTriggerBy", ""},
		fact{"queued", "message.call.assistantCallDuration", 0},
		fact{"a call from a phone", "message.call.id", regexp.MustCompile(`^CA[0-9a-f]{32}$`)},
		fact{"a call from a phone", "message.call.callType", "phone"},
		fact{"a call from a phone", "message.call.direction", "inbound"},
		fact{"ids", "message.call.teamId", objectID},
		fact{"ids", "message.call.assistantId", objectID},
		fact{"times", "message.call.startAt", isoTime},
		fact{"numbers", "message.call.userNumber", regexp.MustCompile(`^\+1555\d{7}$`)},
		fact{"numbers", "message.call.assistantNumber", "+14155550100"},
		fact{"the customer", "message.customer.number", at(queued, "message.call.userNumber")},
		fact{"the vendor", "message.phone", map[string]any{"provider": map[string]any{"name": "twilio"}}},
		fact{"metadata as given", "message.call.metadata.practiceId", "prac_204"},
		fact{"metadata with variables", "message.call.metadata.caller", regexp.MustCompile(`^\S+ \S+$`)},
		fact{"overrides", "message.call.assistantOverrides.dynamicVariables", anObject},
		fact{"empty until the end", "message.call.analysis", map[string]any{"summary": "", "successEvaluation": ""}},
		fact{"empty until the end", "message.call.recording", map[string]any{"s3Bucket": "", "path": ""}},
		fact{"empty until the end", "message.analysis", map[string]any{}},
		fact{"the whole assistant", "message.assistant._id", objectID},
		fact{"echoes our secret", "message.assistant.assistantServer.secret", testSecret},
		fact{"echoes our headers", "message.assistant.assistantServer.headers.Authorization", "Bearer " + testSecret},
		fact{"the whole prompt, unexpanded", "message.assistant.assistantSystemPrompt", regexp.MustCompile(`\{\{date\}\}`)},
		fact{"seen as a list", "message.assistant.callForwardData", []any{}},
		fact{"seen as a list", "message.assistant.config.speech.stt.languages", aList},
		fact{"seen as null", "message.assistant.config.speech.ttsData.0.config.seed", nil},
		fact{"how each step of the analysis is set", "message.assistant.assistantAnalysis.summary.timeoutInSecs", aNumber},
		fact{"an internal address", "message.assistant.assistantAnalysis.callbackUrl", aString},
	)
	checkFacts(t, ongoing,
		fact{"ongoing", "message.call.status", "ongoing"},
		fact{"ongoing", "message.call.phoneCallStatus", "in-progress"},
		fact{"the short assistant", "message.assistant.assistantServer", errMissing},
		fact{"the short assistant", "message.assistant._id", objectID},
	)
	if a, b := text(queued, "message.call.startAt"), text(ongoing, "message.call.startAt"); a >= b {
		t.Errorf("startAt %s, then %s: it is rewritten when the call is answered", a, b)
	}
	checkFacts(t, forwarded,
		fact{"forwarded is not the end", "message.call.phoneCallStatus", "in-progress"},
		fact{"forwarded is not the end", "message.call.callEndTriggerBy", ""},
	)
	checkFacts(t, finished,
		fact{"finished", "message.call.phoneCallStatus", "completed"},
		fact{"finished", "message.call.phoneCallStatusReason", "Call is completed"},
		fact{"finished", "message.call.callEndTriggerBy", "bot"},
		fact{"only the report has it", "message.call.endAt", errMissing},
	)
	if ms := num(finished, "message.call.assistantCallDuration"); ms < 10_000 {
		t.Errorf("assistantCallDuration %v, want milliseconds", ms)
	}
}

func TestFailedCall(t *testing.T) {
	v := playAll(t, nil, "call: {direction: outbound}\nsteps: [{status: initiated}, {status: failed, ended_by: system}, {report: {}}]")
	checkFacts(t, v.requests()[1].json,
		fact{"a call of ours", "message.call.id", regexp.MustCompile(`^CC-` + uuidShape + `$`)},
		fact{"a call of ours", "message.call.direction", "outbound"},
		fact{"it failed", "message.call.status", "failed"},
		fact{"it failed", "message.call.phoneCallStatus", "failed"},
		fact{"it failed", "message.call.callEndTriggerBy", "system"},
	)
	checkFacts(t, v.requests()[2].json,
		fact{"a report too", "message.call.status", "failed"},
		fact{"nothing was recorded", "message.call.recording.path", ""},
		fact{"nothing was said", "message.messages", []any{}},
	)
}

func TestWebCall(t *testing.T) {
	v := playAll(t, nil, "call: {type: web}\nsteps: [{status: ongoing}]")
	body := v.requests()[0].json
	checkFacts(t, body,
		fact{"from a page", "message.call.id", regexp.MustCompile(`^WC-` + uuidShape + `$`)},
		fact{"from a page", "message.call.callType", "web"},
		fact{"a name where a number is", "message.call.userNumber", regexp.MustCompile(`^web-\S+ \S+$`)},
		fact{"the assistant's id where a number is", "message.call.assistantNumber", at(body, "message.call.assistantId")},
		fact{"no telephone", "message.phone.provider.name", ""},
		fact{"the customer", "message.customer.number", at(body, "message.call.userNumber")},
	)
}

func TestConversationUpdatesHaveAllThatWasSaid(t *testing.T) {
	v := playAll(t, nil, everything)
	var before []any
	for i, e := range v.events("conversation-update") {
		now := list(e.json, "message.messages")
		if len(now) != i+1 || !same(now[:i], append([]any{}, before...)) {
			t.Errorf("update %d has %d messages, or changed earlier ones", i, len(now))
		}
		if last := num(now[i], "timestamp"); num(e.json, "message.timestamp") >= last {
			t.Errorf("update %d is not older than its newest message, as was seen", i)
		}
		if i > 0 && num(now[i-1], "timestamp") > num(now[i], "timestamp") {
			t.Errorf("update %d: messages are not in time order", i)
		}
		before = now
	}
	for i, want := range []struct{ id, role, text string }{
		{`^welcome-1$`, "assistant", "Thanks for calling Bright Smile Dental."},
		{`^welcome-2$`, "assistant", "How can I help?"},
		{`^user-1$`, "user", "I'd like to book a cleaning."},
		{`^user-1-[A-Za-z0-9]{10}-\d{12,13}$`, "assistant", "Tuesday at nine?"},
		{`^user-2$`, "user", "Yes."},
		{`^user-3$`, "user", "Are you there?"},
		{`^user-3-[A-Za-z0-9]{10}-\d{12,13}$`, "assistant", "You are booked."},
	} {
		m := before[i]
		checkFacts(t, m, fact{"id", "messageId", regexp.MustCompile(want.id)}, fact{"role", "role", want.role}, fact{"text", "text", want.text},
			fact{"time", "timestamp", aNumber}, fact{"both have", "metrics.timeline.totalElapsedTimeMs", aNumber}, fact{"both have", "metrics.audio", anObject})
		groups, has := "audio interactlyPlayer llm timeline tts", any(errMissing)
		if want.role == "user" {
			groups, has = "audio interactlyEOU stt timeline", aList
		}
		checkFacts(t, m, fact{"only the caller's", "skippedAssistantMessages", has})
		if got := keys(m, "metrics"); got != groups {
			t.Errorf("%s: metrics has %s, want %s", want.id, got, groups)
		}
	}
	checkFacts(t, before[0], fact{"a welcome is not thought about", "metrics.llm", map[string]any{}})
	checkFacts(t, before[3], fact{"an answer is", "metrics.llm.responseLatencyMs", aNumber})
	checkFacts(t, before[2], fact{"negative values were seen", "metrics.audio.delayedPacketsCumulativeCount", -1}, fact{"nothing cut", "skippedAssistantMessages", []any{}})
	checkFacts(t, before[4], fact{"what was cut", "skippedAssistantMessages.0.text", "Or on Wednesday?"}, fact{"what was cut", "skippedAssistantMessages.0.role", "assistant"},
		fact{"it answered the message before", "skippedAssistantMessages.0.messageId", regexp.MustCompile(`^user-1-`)})
}

func TestHangAndErrors(t *testing.T) {
	v := playAll(t, nil, everything)
	checkFacts(t, v.events("hang")[0].json,
		fact{"a notice", "message.call.status", "ongoing"},
		fact{"a notice", "message.messages.5.text", "Are you there?"},
	)
	if ms := num(v.events("hang")[0].json, "message.call.assistantCallDuration"); ms < 5000 {
		t.Errorf("hang: assistantCallDuration %v", ms)
	}
	llm, stt := v.events("error")[0].json, v.events("error")[1].json
	checkFacts(t, llm,
		fact{"not in the call", "message.call.error", errMissing},
		fact{"the model", "message.error.type", "llm_error"}, fact{"the model", "message.error.code", "rate_limit_exceeded"},
		fact{"the model", "message.error.message", "Too many requests"}, fact{"the model", "message.error.provider", "openai"},
		fact{"the model", "message.error.retryable", true}, fact{"the model", "message.error.details.limit_type", aString},
		fact{"history so far", "message.messages.5.messageId", "user-3"}, fact{"history so far", "message.messages.6", errMissing},
	)
	checkFacts(t, stt, fact{"the transcriber", "message.error.type", "stt_error"}, fact{"the transcriber", "message.error.details.noise_level", aString})
}

func TestReport(t *testing.T) {
	v := playAll(t, nil, everything)
	body := v.events("end-of-call-report")[0].json
	checkFacts(t, body,
		fact{"over", "message.call.status", "finished"}, fact{"over", "message.call.phoneCallStatus", "completed"},
		fact{"over", "message.call.endAt", isoTime}, fact{"over", "message.call.callEndTriggerBy", "bot"},
		fact{"results are not in the call", "message.call.analysis", map[string]any{"summary": "", "successEvaluation": "", "guardrails": "DISABLED"}},
		fact{"results", "message.analysis.summary", "The caller booked."}, fact{"results", "message.analysis.successEvaluation", "Excellent"},
		fact{"results", "message.analysis.outcome", "booked"}, fact{"a key with a space", "message.analysis.structuredData.phone number", at(body, "message.call.userNumber")},
		fact{"what was not found", "message.analysis.structuredData.visits", 0},
		fact{"recorded", "message.call.recording.s3Bucket", "example-us-recordings"},
		fact{"recorded", "message.call.recording.path", text(body, "message.call.teamId") + "/" + text(body, "message.call.id") + ".mp3"},
		fact{"a short assistant", "message.assistant", map[string]any{"_id": at(body, "message.call.assistantId"), "name": "Bright Smile Dental - front desk"}},
		fact{"turns", "message.call.metrics.callStats.turns", map[string]any{"user": 3., "bot": 4., "played": 4., "interrupted": 1., "skipped": 1.}},
		fact{"turns", "message.call.metrics.callStats.turnsStats.userTurns.2.messageId", "user-3"},
		fact{"turns", "message.call.metrics.callStats.turnsStats.botTurns.0.userMessageId", "welcome-1"},
		fact{"turns", "message.call.metrics.callStats.turnsStats.botTurns.0.stopSpeakingReason", nil},
		fact{"buckets are named by text", "message.call.metrics.callStats.ttsStats.responseTimeDistribution.300", aNumber},
		fact{"negative values were seen", "message.call.metrics.callStats.sttStats.responseLatencyTotal", aNumber},
		fact{"text of numbers", "message.call.cost.ttsGenCharsTotal", aNumber},
		fact{"cost of the analysis", "message.call.cost.analysis.total", aNumber},
	)
	if got, want := keys(body, "message.call.metrics.callStats"), "llmStats sttStats ttsStats turns turnsStats userAudio"; got != want {
		t.Errorf("callStats has %s, want %s", got, want)
	}
	said := list(body, "message.messages")
	if len(said) != 7 || keys(said[2], "") != "" || at(said[2], "metrics") != errMissing {
		t.Errorf("the report has %d messages, want 7 without metrics", len(said))
	}
	sum := 0.0
	for _, part := range []string{"interactlyCost", "phoneCost", "ttsVendorCost", "sttVendorCost", "llmVendorCost"} {
		sum += num(body, "message.call.cost."+part)
	}
	if total := num(body, "message.call.cost.totalCost"); math.Abs(total-sum) > 1e-9 || total == 0 {
		t.Errorf("totalCost %v, want the sum of five, %v", total, sum)
	}
	start, _ := time.Parse(time.RFC3339, text(body, "message.call.startAt"))
	end, _ := time.Parse(time.RFC3339, text(body, "message.call.endAt"))
	lasted := end.Sub(start)
	if ms := num(body, "message.call.assistantCallDuration"); math.Abs(ms-float64(lasted.Milliseconds())) > 1 {
		t.Errorf("assistantCallDuration %v, want %v in milliseconds", ms, lasted)
	}
	if s := num(body, "message.call.cost.callDuration"); math.Abs(s-lasted.Seconds()) > 0.001 {
		t.Errorf("callDuration %v, want %v in seconds", s, lasted)
	}
}

// A report comes 2.2 s after the end of the call, so its endAt must not be the
// time at which it is sent.
func TestReportComesAfterTheEnd(t *testing.T) {
	v := playAll(t, nil, "steps: [{status: ongoing}, {caller: Bye.}, {status: finished, ended_by: user}, {report: {}}]")
	body := v.events("end-of-call-report")[0].json
	end, err := time.Parse(time.RFC3339, text(body, "message.call.endAt"))
	if err != nil {
		t.Fatal(err)
	}
	if sent := num(body, "message.timestamp"); sent-float64(end.UnixMilli()) < 1000 {
		t.Errorf("sent %v ms after endAt", sent-float64(end.UnixMilli()))
	}
	finished := v.events("status-update")[1].json
	if a, b := num(finished, "message.call.assistantCallDuration"), num(body, "message.call.assistantCallDuration"); a != b {
		t.Errorf("the call lasted %v ms when it was finished, and %v ms in the report", a, b)
	}
}
