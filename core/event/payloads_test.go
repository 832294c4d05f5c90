package event

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

func TestPayloadStatus(t *testing.T) {
	for _, c := range []struct {
		file   string
		id     CallID
		status Status
		time   int64 // ms, 0 for the time of receipt
		phone  string
		by     string
		took   time.Duration
	}{
		{"status-initiated", "CA1f88a2c4d0be4b7790aa63d2517ec90b", StatusInitiated, 1784050200247, "", "", 0},
		{"status-queued", "CA7c0f3b9e51d24a86b3f0a91d6e2c4478", StatusQueued, 1784044931823, "in-progress", "", 0},
		{"status-ongoing", "CA7c0f3b9e51d24a86b3f0a91d6e2c4478", StatusOngoing, 1784044931866, "in-progress", "", 0},
		{"status-forwarded", "CA7c0f3b9e51d24a86b3f0a91d6e2c4478", StatusForwarded, 1784044972064, "in-progress", "", 40210 * time.Millisecond},
		{"status-finished", "CA7c0f3b9e51d24a86b3f0a91d6e2c4478", StatusFinished, 1784044984509, "completed", "assistant", 52648 * time.Millisecond},
		{"status-failed", "CA1f88a2c4d0be4b7790aa63d2517ec90b", StatusFailed, 1784050201002, "busy", "system", 0},
		{"web-call", "WC-5b0c2f7a-83b4-4a06-9a39-1f0f6c1b7d22", StatusQueued, 1784044931823, "in-progress", "", 0},
		{"legacy-status", "8d0b2f57-5d2e-4f0a-9c61-0c7d3f1e2a90", StatusFinished, 0, "completed", "user", 0},
		{"vapi-status", "0c8e0f0e-1f3b-4f5d-9b1a-7f2f4a6c8e10", StatusOngoing, 1784044931866, "", "", 0},
	} {
		t.Run(c.file, func(t *testing.T) {
			e := decoded(t, payload(t, c.file))
			at := atReceipt
			if c.time != 0 {
				at = millis(c.time)
			}
			same(t, "type", e.Type, TypeStatusUpdate)
			same(t, "call", e.Call.ID, c.id)
			same(t, "status", e.Status, c.status)
			same(t, "time", e.Time, at)
			same(t, "telephony", e.Call.PhoneStatus, c.phone)
			same(t, "ended by", e.Call.EndedBy(), c.by)
			same(t, "duration", e.Call.Duration(), c.took)
			same(t, "cost", e.Call.Cost, (*Cost)(nil))
			same(t, "metrics", e.Call.Metrics, (*CallMetrics)(nil))
			same(t, "messages", len(e.Transcript()), 0)
			same(t, "error", e.Error, (*VendorError)(nil))
		})
	}
}

func TestPayloadInitiated(t *testing.T) {
	e := decoded(t, payload(t, "status-initiated"))
	same(t, "direction", e.Call.Direction, "")
	same(t, "type of call", e.Call.Type, "phone")
	same(t, "start", e.Call.StartedAt, time.Date(2026, 7, 14, 17, 30, 0, 210e6, time.UTC))
	same(t, "end", e.Call.EndedAt, time.Time{})
	same(t, "user", e.Call.UserNumber, "+14155550177")
	same(t, "team", e.Call.TeamID, "68a41f0c9b7e2d5513c0aa71")
	same(t, "welcome", e.Assistant.WelcomeMessage, "Hi, this is Bright Smile Dental.")
	same(t, "recording", e.Call.Recording, Recording{})
}

func TestPayloadQueued(t *testing.T) {
	e := decoded(t, payload(t, "status-queued"))
	same(t, "metadata", e.Call.Metadata, `{"practiceId":"prac_204","source":"main-line"}`)
	same(t, "overrides", e.Call.Overrides, `{}`)
	same(t, "reason", e.Call.PhoneStatusReason, "Call is in progress")
	same(t, "provider", e.Phone.Provider.Name, "twilio")
	same(t, "customer", e.Customer.Number, "+14155550142")
	a := e.Assistant
	same(t, "assistant", a.ID, "69b2d7e4f0a1c83b5e6d9f02")
	same(t, "phrases", a.EndCallPhrases, []string{"Goodbye", "Take care"})
	same(t, "tools", a.ToolIDs, []string{"69b2d8110c5fae77d3419b60", "69b2d8290c5fae77d3419b61"})
	same(t, "forward", a.CallForward, `[]`)
	same(t, "barge-in", a.BargeIn, true)
	same(t, "model", a.Provider+" "+a.Model, "openai gpt-4.1")
	same(t, "tokens", a.MaxTokens, int64(256))
	same(t, "prompt", strings.HasSuffix(a.SystemPrompt, "Today is {{date}}."), true)
	same(t, "url", a.Server.URL, "https://hooks.example.com/interactly/v1/events")
	same(t, "timeout", a.Server.TimeoutSeconds, 20.0)
	same(t, "subscribed", a.Server.Messages, []string{"status-update", "conversation-update", "end-of-call-report", "hang", "error"})
	same(t, "languages", a.Config.Speech.STT.Languages, []string{"en-US", "es"})
	same(t, "voice", a.Config.Speech.TTS[0].VoiceName, "Example voice")
	for _, secret := range []string{"EXAMPLE-SECRET", "EXAMPLE-TOKEN"} {
		if strings.Contains(fmt.Sprintf("%+v", e.Assistant), secret) {
			t.Errorf("the typed assistant holds %s", secret)
		}
	}
}

func TestPayloadConversation(t *testing.T) {
	e := decoded(t, payload(t, "conversation-update"))
	same(t, "time", e.Time, millis(1784044932072))
	same(t, "overrides", e.Call.Overrides, `{"dynamicVariables":{"clinic_name":"Bright Smile Dental"},"variablesValidations":{"clinic_name":"none"}}`)
	ms := e.Transcript()
	if len(ms) != 4 {
		t.Fatalf("got %d messages, want 4", len(ms))
	}
	same(t, "ids", []string{ms[0].ID, ms[1].ID, ms[2].ID, ms[3].ID}, []string{"welcome-1", "user-1", "user-1-Zk3vQ81mPd-1784044939876", "user-2"})
	same(t, "roles", []bool{ms[0].FromAssistant(), ms[1].FromAssistant(), ms[2].FromAssistant(), ms[3].FromAssistant()}, []bool{true, false, true, false})
	same(t, "text", ms[3].Text, "Tuesday at nine, please.")
	same(t, "said at", ms[3].Time, millis(1784044944844))
	same(t, "skipped", ms[3].Interrupted, []InterruptedMessage{{ID: "user-1-Zk3vQ81mPd-1784044939878", Role: "assistant", Text: "Both are with Dr. Lee.", Time: millis(1784044940194)}})
	same(t, "none skipped", len(ms[1].Interrupted), 0)
	m := ms[1].Metrics
	same(t, "negative count", m.Audio.DelayedPacketsCumulative, -1.0)
	same(t, "negative latency", m.STT.RelativeLatency, -305.0)
	same(t, "confidence", m.STT.Confidence, 0.9312)
	same(t, "recognized at", m.STT.Time, millis(1784044937334))
	same(t, "turn detection", m.EndOfUtterance.TurnDetection, 1000.0)
	same(t, "response", ms[2].Metrics.LLM.Response, 1542.0)
	same(t, "cached", ms[0].Metrics.TTS.Cached, true)
	same(t, "wait", ms[2].Metrics.Player.Wait, 309.0)
}

func TestPayloadReport(t *testing.T) {
	e := decoded(t, payload(t, "end-of-call-report"))
	c := e.Call
	same(t, "type", e.Type, TypeReport)
	same(t, "status", e.Status, StatusFinished)
	same(t, "end", c.EndedAt.Sub(c.StartedAt), 52640*time.Millisecond)
	same(t, "duration of the call", c.Duration(), 52648*time.Millisecond)
	same(t, "recording", c.Recording, Recording{Bucket: "example-us-recordings", Path: "68a41f0c9b7e2d5513c0aa71/CA7c0f3b9e51d24a86b3f0a91d6e2c4478.mp3"})
	same(t, "cost", *c.Cost, Cost{Seconds: 52.64, Interactly: 0.008773, Phone: 0.0165, TTS: 0.01629, STT: 0.006756, LLM: 0.004572,
		Total: 0.052891, TTSChars: 181, InputTokens: 1934, OutputTokens: 88})
	same(t, "duration paid", c.Cost.Duration(), 52640*time.Millisecond)
	s := c.Metrics.Stats
	same(t, "turns", []int64{s.Turns.User, s.Turns.Assistant, s.Turns.Played, s.Turns.Interrupted, s.Turns.Skipped}, []int64{3, 4, 4, 1, 1})
	same(t, "intervals", s.UserAudio.LatencyIntervals[1].CumulativeDuration, 16004.0)
	same(t, "interrupted turn", []any{s.TurnStats.Assistant[1].Interrupted, s.TurnStats.Assistant[1].PlayedSeconds, s.TurnStats.Assistant[1].StopReason}, []any{true, 2.85, ""})
	same(t, "response times", s.TurnStats.ResponseTimes, []float64{2180, 3020, 1220})
	same(t, "distribution", []int64{s.TTS.ResponseTimes["300"], s.LLM.ResponseTimes["1500"], s.STT.Confidences["0.9"]}, []int64{2, 1, 3})
	same(t, "negative average", s.STT.LatencyAvg, -304.1)
	same(t, "summary", e.Analysis.Summary, "The caller booked a cleaning for Tuesday at nine with Dr. Lee.")
	same(t, "success", e.Analysis.Success, "Excellent")
	same(t, "outcome", e.Analysis.Outcome, "appointment_booked")
	same(t, "structured", e.Analysis.Structured, `{"patientName":"","appointmentAt":"2026-07-21T09:00:00-07:00","newPatient":false}`)
	same(t, "guardrails", e.Analysis.Guardrails, "DISABLED")
	ms := e.Transcript()
	same(t, "messages", len(ms), 7)
	same(t, "last words", ms[6].Text, "See you Tuesday. Goodbye.")
	same(t, "no metrics", ms[6].Metrics, (*MessageMetrics)(nil))
}

func TestPayloadHangAndErrors(t *testing.T) {
	h := decoded(t, payload(t, "hang"))
	same(t, "hang", []any{h.Type, h.Status, h.Call.DurationMS, len(h.Transcript()), h.Error == nil}, []any{TypeHang, StatusOngoing, 18110.0, 4, true})

	e := decoded(t, payload(t, "error-llm"))
	details := e.Error.Details
	e.Error.Details = nil
	same(t, "failure", *e.Error, VendorError{Type: "llm_error", Code: "rate_limit_exceeded", Message: "Too many requests for this deployment", Provider: "openai", Retryable: true})
	same(t, "details", details, `{"limit_type":"requests_per_minute","current_usage":131,"limit":120,"reset_time":"2026-07-14T16:03:11.854Z"}`)

	e = decoded(t, payload(t, "error-stt"))
	same(t, "failure", []any{e.Error.Type, e.Error.Code, e.Error.Retryable, e.Status}, []any{"stt_error", "audio_quality_insufficient", false, StatusOngoing})
	same(t, "messages", len(e.Transcript()), 1)

	e = decoded(t, []byte(`{"message":{"type":"error","call":{"id":"CA1"}}}`))
	same(t, "an error without details", e.Error, &VendorError{})
	e = decoded(t, []byte(`{"message":{"type":"hang","call":{"id":"CA1"},"error":{}}}`))
	same(t, "no error", e.Error, (*VendorError)(nil))
}

func TestPayloadShort(t *testing.T) {
	e := decoded(t, payload(t, "report-short"))
	same(t, "report", []any{e.Type, e.Status, e.Time, e.Call.Cost == nil, e.Analysis}, []any{TypeReport, Status(""), atReceipt, true, Analysis{}})
	e = decoded(t, payload(t, "report-failed"))
	same(t, "failed report", []any{e.Status, e.Call.Cost == nil, e.Call.Metrics == nil, len(e.Transcript())}, []any{StatusFailed, true, true, 0})
	e = decoded(t, payload(t, "conversation-short"))
	same(t, "conversation", e.Transcript(), []Message{{Role: "user", Text: "Hello?"}})
	e = decoded(t, payload(t, "legacy-messages"))
	same(t, "older messages", []any{len(e.Transcript()), e.Transcript()[1].Time}, []any{2, time.Date(2026, 7, 14, 16, 2, 18, 334e6, time.UTC)})
	e = decoded(t, payload(t, "vapi-tool-calls"))
	same(t, "tool calls", []any{e.Type, e.Call.ID, e.Status}, []any{TypeToolCalls, CallID("0c8e0f0e-1f3b-4f5d-9b1a-7f2f4a6c8e10"), StatusOngoing})
}

func TestPayloadOfRESTShape(t *testing.T) {
	e := decoded(t, payload(t, "rest-like"))
	same(t, "status", e.Status, StatusFinished)
	same(t, "number", e.Call.PhoneNumberID, "69b2d9930c5fae77d3419b77")
	same(t, "created", e.Call.CreatedAt, time.Date(2026, 7, 14, 16, 2, 11, 100e6, time.UTC))
	same(t, "summary", e.Analysis.Summary, "The caller asked for the opening hours.")
	same(t, "structured", e.Analysis.Structured, `{"phone number":"+14155550142"}`)
	same(t, "messages", e.Transcript()[0].ID, "66f1c0a2b7e4d5513c0aa712")
	same(t, "forward", e.Assistant.CallForward, `{"phoneNumber":"+14155550199","extension":"","name":"Front desk"}`)
	same(t, "predefined", e.Assistant.PredefinedTools, map[string]bool{"endCall": true, "callForward": false})
	same(t, "limits", []int64{e.Assistant.MaxCallSeconds, e.Assistant.IdleSeconds}, []int64{900, 20})
}

// untyped are the values of payloads that have no field, and why. Event.Raw has
// them.
var untyped = []struct{ path, why string }{
	{".assistant.assistantServer.secret", "our own secret"},
	{".assistant.assistantServer.headers.", "our own secrets"},
	{".assistant.config.speech.stt.deepgramOptions.", "of one vendor"},
	{".call.analysis.", "merged into the event's analysis"},
	{".call.messages", "in the transcript"},
	{".call.monitor.", "controls the live call"},
	{".call.orgId", "of Vapi"},
	{".call.type", "of Vapi"},
}

// Every value of the payloads has a field with its name on the wire.
func TestEveryValueHasAField(t *testing.T) {
	files, _ := filepath.Glob("testdata/payloads/*.json")
	seen := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		if name == "without-type" {
			continue
		}
		e := decoded(t, payload(t, name))
		got := map[string]jsontext.Value{}
		for part, v := range map[string]any{"call": e.Call, "assistant": e.Assistant, "phone": e.Phone, "customer": e.Customer,
			"analysis": e.Analysis, "error": e.Error, "messages": e.Transcript()} {
			b, err := json.Marshal(v)
			if err != nil {
				t.Fatal(name, err)
			}
			leaves("."+part, b, got)
		}
		sent := map[string]jsontext.Value{}
		for part, v := range loosejson.Object(loosejson.Object(e.Raw)["message"]) {
			switch part {
			case "call", "assistant", "phone", "customer", "analysis", "error", "messages":
				leaves("."+part, v, sent)
			}
		}
	values:
		for path, v := range sent {
			for _, u := range untyped {
				if strings.HasPrefix(path, u.path) {
					continue values
				}
			}
			seen++
			if _, there := got[path]; !there {
				path += "[0]" // a list of one, sent without its brackets
			}
			if at := loosejson.Time(v); string(got[path]) != string(v) && (at.IsZero() || !at.Equal(loosejson.Time(got[path]))) {
				t.Errorf("%s: %s is %s, was sent as %s", name, path, got[path], v)
			}
		}
	}
	if seen < 500 {
		t.Errorf("compared %d values only", seen)
	}
}

// leaves adds the scalars of v by their paths.
func leaves(path string, v jsontext.Value, to map[string]jsontext.Value) {
	switch v.Kind() {
	case '{':
		for name, one := range loosejson.Object(v) {
			leaves(path+"."+name, one, to)
		}
	case '[':
		for i, one := range loosejson.List(v) {
			leaves(fmt.Sprintf("%s[%d]", path, i), one, to)
		}
	case 'n':
	default:
		to[path] = v
	}
}
