package simulate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object is a JSON object of a payload.
type object = map[string]any

// A call is the state of a call in Interactly.
type call struct {
	rand      *rand.Rand
	id        string
	web       bool
	direction string
	user      string // number, or web- and a name
	vars      map[string]string
	assistant AssistantField
	number    string // of the assistant; its id in a web call
	metadata  map[string]any
	variables map[string]any
	secret    string

	start    time.Time
	now      time.Time // the clock of the call, which NoDelay does not stop
	end      time.Time // zero until the call ends; the report comes later
	status   string
	by       string
	messages []object
	turns    int // of the caller
	skipped  int
}

const (
	teamID     = "68a41f0c9b7e2d5513c0aa71"
	deskNumber = "+14155550100"

	assistantID   = "69b2d7e4f0a1c83b5e6d9f02"
	assistantName = "Bright Smile Dental - front desk"
)

// newCall invents a caller who wants a day and time that no other caller wants, so
// that many calls can be played concurrently and repeatedly.
func newCall(s Scenario, o Options, seed uint64, r *rand.Rand, now time.Time) *call {
	c := &call{rand: r, web: s.Call.Type == "web", direction: s.Call.Direction, secret: o.Secret, start: now, now: now}
	if c.direction == "" {
		c.direction = "inbound"
	}
	first := []string{"Sam", "Ana", "Lee", "Kim", "Max", "Zoë", "Ivo", "Mia"}[r.IntN(8)]
	last := []string{"Rivera", "Lima", "Okafor", "Novak", "Haddad", "O'Hara"}[r.IntN(6)]
	// The seeds of a run are consecutive, so no two of its calls want the same time
	// or have the same number. The first day is a Monday.
	n := seed % (200 * 52 * 5 * 11)
	slot, weekday, week := 9*60+45*int(n%11), int(n/11%5), int(n/55)
	day := time.Date(2035, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, 7*week+weekday)
	c.vars = map[string]string{
		"name": first + " " + last, "phone": fmt.Sprintf("+1555%07d", seed%1e7*6_700_417%1e7),
		"date": day.Format(time.DateOnly), "time": fmt.Sprintf("%02d:%02d", slot/60, slot%60),
	}
	if n := s.Call.Numbers.Caller; n != "" {
		c.vars["phone"] = c.expand(n)
	}
	c.user = c.vars["phone"]
	switch {
	case c.web:
		c.id, c.user = "WC-"+uuid(r), cmp.Or(c.expand(s.Call.Numbers.Caller), "web-"+c.vars["name"])
	case c.direction == "outbound":
		c.id = "CC-" + uuid(r)
	default:
		c.id = "CA" + hex(r, 32)
	}
	c.vars["call"] = c.id
	c.configure(s)
	return c
}

// configure sets what a scenario may say of the assistant and the call.
func (c *call) configure(s Scenario) {
	c.assistant = AssistantField{ID: cmp.Or(c.expand(s.Call.Assistant.ID), assistantID), Name: cmp.Or(c.expand(s.Call.Assistant.Name), assistantName)}
	c.number = deskNumber
	if c.web {
		c.number = c.assistant.ID
	}
	c.number = cmp.Or(c.expand(s.Call.Numbers.Assistant), c.number)
	c.metadata = c.expandAll(s.Call.Metadata)
	c.variables = object{"clinic_name": "Bright Smile Dental"}
	if s.Call.Variables != nil {
		c.variables = c.expandAll(s.Call.Variables)
	}
}

func hex(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("0123456789abcdef"[r.IntN(16)])
	}
	return b.String()
}

func uuid(r *rand.Rand) string {
	return hex(r, 8) + "-" + hex(r, 4) + "-4" + hex(r, 3) + "-a" + hex(r, 3) + "-" + hex(r, 12)
}

// callObject returns message.call during the call.
func (c *call) callObject() object {
	kind, validations := "phone", object{}
	if c.web {
		kind = "web"
	}
	for name := range c.variables {
		validations[name] = "none"
	}
	telephony, reason := "in-progress", "Call is in progress"
	switch c.status {
	case "initiated":
		telephony, reason = "", ""
	case "finished":
		telephony, reason = "completed", "Call is completed"
	case "failed":
		telephony, reason = "failed", "Concurrency limit"
	}
	o := object{
		"id": c.id, "teamId": teamID, "assistantId": c.assistant.ID, "callType": kind, "direction": c.direction,
		"startAt": iso(c.start), "userNumber": c.user, "assistantNumber": c.number,
		"status": c.status, "phoneCallStatus": telephony, "phoneCallStatusReason": reason,
		"callEndTriggerBy": c.by, "assistantCallDuration": 0,
		"analysis":           object{"summary": "", "successEvaluation": ""},
		"recording":          object{"s3Bucket": "", "path": ""},
		"assistantOverrides": object{"dynamicVariables": c.variables, "variablesValidations": validations},
		"metadata":           c.metadata,
	}
	if c.status == "initiated" {
		o["direction"], o["endAt"], o["cost"], o["metrics"] = "", nil, nil, object{}
	}
	if c.status == "finished" {
		o["assistantCallDuration"] = c.elapsed()
	}
	return o
}

// assistantObject returns the whole configuration, including our secret, or the
// short form of later events.
func (c *call) assistantObject(whole bool) object {
	o := object{"_id": c.assistant.ID, "name": c.assistant.Name, "assistantProvider": "openai", "assistantModel": "gpt-4.1"}
	if !whole {
		return o
	}
	step := func() object {
		return object{"enabled": true, "prompt": "Say what happened.", "provider": "", "model": "", "timeoutInSecs": 30}
	}
	for k, v := range (object{
		"welcomeMessage": "Thanks for calling Bright Smile Dental, how can I help?", "welcomeMessageMode": "automatic",
		"welcomeMessageInterruptionsEnabled": false, "endCallMessage": "", "endCallToolDescription": "", "endCallPhrases": []string{"Goodbye"},
		"bargeInEnabled": true, "callForwardData": []any{}, "assistantKnowledgeBaseIds": []any{}, "assistantToolIds": []string{"69b2d8110c5fae77d3419b60"},
		"assistantLLMUrl": "", "assistantSystemPrompt": "You schedule dental visits. Today is {{date}}.", "assistantTemperature": 0, "assistantMaxTokens": 256,
		"assistantResponseSplitter": "", "assistantBackchannelingEnabled": false,
		"assistantAnalysis": object{"summary": step(), "successEvaluation": step(), "structuredData": step(), "guardrails": step(), "phiRedaction": step(), "callbackUrl": "http://internal.invalid/analysis"},
		"assistantServer": object{
			"enabled": true, "url": "https://hooks.example.com/events", "timeoutSeconds": 20, "secret": c.secret,
			"headers":  object{"Authorization": "Bearer " + c.secret},
			"messages": []string{"status-update", "conversation-update", "end-of-call-report", "hang", "error"},
		},
		"config": object{"speech": object{
			"stt":     object{"vendor": "deepgram", "language": "en-US", "languages": []string{"en-US", "es"}, "interim": true, "hints": []any{}},
			"ttsData": []object{{"vendor": "eleven-labs", "language": "en-US", "voice": "EXAMPLEVOICEID", "default": true, "config": object{"seed": nil, "speed": 1}}},
		}},
	}) {
		o[k] = v
	}
	return o
}

// event returns an event with the fields that all events have, and others.
func (c *call) event(kind string, with object) object {
	provider := "twilio"
	if c.web {
		provider = ""
	}
	m := object{
		"timestamp": c.now.UnixMilli(), "type": kind, "call": c.callObject(), "assistant": c.assistantObject(false),
		"phone": object{"provider": object{"name": provider}}, "customer": object{"number": c.user}, "analysis": object{},
	}
	if c.status == "initiated" { // observed to lack them
		for _, k := range []string{"phone", "customer", "analysis"} {
			delete(m, k)
		}
	}
	for k, v := range with {
		m[k] = v
	}
	return object{"message": m}
}

func (c *call) statusUpdate(status, by string) object {
	if status == "ongoing" {
		c.start = c.now // reset when the call is answered
	}
	c.status, c.by = status, by
	if status == "finished" || status == "failed" {
		c.end = c.now
	}
	return c.event("status-update", object{"assistant": c.assistantObject(status == "queued" || status == "initiated")})
}

// assistantSays adds a message of the assistant, which replies to the caller's last.
func (c *call) assistantSays(text string) object {
	id := "welcome-1"
	if c.turns > 0 {
		id = fmt.Sprintf("user-%d-%s-%d", c.turns, randomText(c.rand, 10), c.now.UnixMilli())
	} else if len(c.messages) > 0 {
		id = fmt.Sprintf("welcome-%d", len(c.messages)+1)
	}
	llm := object{} // a welcome message is fixed, not generated
	if c.turns > 0 {
		llm = object{"timestampMs": c.now.UnixMilli() - 311, "queueLatencyMs": 3, "responseLatencyMs": 900 + c.rand.IntN(900)}
	}
	c.messages = append(c.messages, object{"messageId": id, "role": "assistant", "text": text, "timestamp": c.now.UnixMilli(), "metrics": object{
		"timeline": object{"totalElapsedTimeMs": c.elapsed()}, "audio": object{"totalAudioReceivedMs": c.elapsed() + 14},
		"llm": llm,
		"tts": object{"audioDurationMs": 60 * len(text), "queueLatencyMs": 1, "generationTimeMs": 309, "isCachePlaying": false}, "interactlyPlayer": object{"waitTimeMs": 309},
	}})
	return c.conversation()
}

// callerSays adds a message of the caller; skipped is the assistant's message that
// it interrupted.
func (c *call) callerSays(text, skipped string) object {
	c.turns++
	interrupted := []object{}
	if skipped != "" {
		c.skipped++
		interrupted = append(interrupted, object{"messageId": fmt.Sprintf("user-%d-%s-%d", c.turns-1, randomText(c.rand, 10), c.now.UnixMilli()), "role": "assistant", "text": skipped, "timestamp": c.now.UnixMilli()})
	}
	c.messages = append(c.messages, object{"messageId": fmt.Sprintf("user-%d", c.turns), "role": "user", "text": text, "timestamp": c.now.UnixMilli(), "metrics": object{
		"timeline":      object{"offsetFromPreviousTurnMs": 6260, "totalElapsedTimeMs": c.elapsed()},
		"audio":         object{"delayedPacketsPerTurnCount": 2, "delayedPacketsCumulativeCount": -1, "lostPacketsCumulativeCount": 0, "audioDelayPerTurnMs": 21, "audioDelayCumulativeMs": -12, "offsetFromPreviousTurnMs": 6239, "totalAudioReceivedMs": c.elapsed() - 12},
		"stt":           object{"timestampMs": c.now.UnixMilli() - 1000, "startOffsetMs": c.elapsed() - 2150, "endOffsetMs": c.elapsed(), "durationMs": 2150, "vadMs": 480, "relativeLatencyMs": -305, "confidence": 0.9312},
		"interactlyEOU": object{"turnDetectionTimeMs": 1000, "queueLatencyMs": 0},
	}, "skippedAssistantMessages": interrupted})
	return c.conversation()
}

// conversation returns a conversation-update with all messages of the call. Its
// timestamp was observed to be older than its newest message.
func (c *call) conversation() object {
	e := c.event("conversation-update", object{"messages": c.snapshot()})
	e["message"].(object)["timestamp"] = c.now.Add(-2 * time.Second).UnixMilli()
	return e
}

func (c *call) snapshot() []object { return append([]object{}, c.messages...) }

func (c *call) hang() object {
	e := c.event("hang", object{"messages": c.snapshot()})
	e["message"].(object)["call"].(object)["assistantCallDuration"] = c.elapsed()
	return e
}

func (c *call) failure(f ErrorStep) object {
	details := object{"limit_type": "requests_per_minute", "current_usage": 131, "limit": 120}
	if f.Type == "stt_error" {
		details = object{"confidence_score": 0.11, "noise_level": "high", "signal_to_noise_ratio": -4, "suggested_action": "request_user_repeat"}
	}
	e := c.event("error", object{"messages": c.snapshot(), "error": object{
		"type": f.Type, "code": f.Code, "message": f.Message, "provider": f.Provider, "retryable": f.Type == "llm_error", "details": details,
	}})
	e["message"].(object)["call"].(object)["assistantCallDuration"] = c.elapsed()
	return e
}

func (c *call) report(r ReportStep) object {
	if c.status != "failed" {
		c.status = "finished"
	}
	messages := make([]object, len(c.messages)) // in the report without metrics
	for i, m := range c.messages {
		messages[i] = object{"messageId": m["messageId"], "role": m["role"], "text": m["text"], "timestamp": m["timestamp"]}
	}
	data := r.Data
	if data == nil {
		data = object{}
	}
	e := c.event("end-of-call-report", object{
		"messages": messages, "assistant": object{"_id": c.assistant.ID, "name": c.assistant.Name},
		"analysis": object{"summary": r.Summary, "successEvaluation": r.Success, "structuredData": data, "outcome": r.Outcome},
	})
	o := e["message"].(object)["call"].(object)
	o["endAt"] = iso(c.endedAt())
	o["assistantCallDuration"] = c.elapsed()
	o["analysis"] = object{"summary": "", "successEvaluation": "", "guardrails": "DISABLED"}
	if c.status == "finished" { // else nothing was recorded
		o["recording"] = object{"s3Bucket": "example-us-recordings", "path": teamID + "/" + c.id + ".mp3"}
	}
	o["cost"], o["metrics"] = c.cost(), object{"callStats": c.stats()}
	return e
}

// endedAt returns when the call ended, or the time now.
func (c *call) endedAt() time.Time {
	if c.end.IsZero() {
		return c.now
	}
	return c.end
}

// elapsed returns how long the call has lasted, in milliseconds.
func (c *call) elapsed() int64 { return c.endedAt().Sub(c.start).Milliseconds() }

func randomText(r *rand.Rand, n int) string {
	var b strings.Builder
	for range n {
		b.WriteByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"[r.IntN(62)])
	}
	return b.String()
}

func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

func encode(v any) []byte {
	b, err := json.Marshal(v, json.Deterministic(true), json.FormatNilSliceAsNull(false), jsontext.AllowInvalidUTF8(true))
	if err != nil {
		panic("simulate: payload cannot be encoded") // it is built here
	}
	return b
}
