package event

import (
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// A CallInfo is what an event says about its call, from message.call
// (docs/events.md#call).
type CallInfo struct {
	ID          CallID `json:"id"` // opaque and unique; "" if the event names no call
	TeamID      string `json:"teamId"`
	AssistantID string `json:"assistantId"`
	Type        string `json:"callType"`  // "phone", "web", others
	Direction   string `json:"direction"` // "inbound", "outbound", "" at first

	// StartedAt is changed when the call is answered: later events override it.
	StartedAt time.Time `json:"startAt"`
	EndedAt   time.Time `json:"endAt"` // zero until the report

	// The numbers of a phone call are in E.164. In a web call UserNumber is "web-"
	// and a display name, AssistantNumber is the assistant's id.
	UserNumber      string `json:"userNumber"`
	AssistantNumber string `json:"assistantNumber"`

	RawStatus         string `json:"status"`          // as sent; see Event.Status
	PhoneStatus       string `json:"phoneCallStatus"` // the telephony's own status, independent of the call's
	PhoneStatusReason string `json:"phoneCallStatusReason"`
	EndTrigger        string `json:"callEndTriggerBy"` // as sent; see EndedBy

	// DurationMS is how long the assistant was on the call, in ms. It is
	// meaningful after the end only; see Duration.
	DurationMS float64 `json:"assistantCallDuration"`

	Recording Recording      `json:"recording"`
	Overrides jsontext.Value `json:"assistantOverrides"`
	Metadata  jsontext.Value `json:"metadata"` // as given when the call was created: the best way to recognize a call
	Cost      *Cost          `json:"cost"`     // nil until the report, and for {}
	Metrics   *CallMetrics   `json:"metrics"`  // nil until the report, and for {}

	PhoneNumberID string    `json:"phoneNumberId"` // in calls read through the API only
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// EndedBy returns who ended the call: "assistant", "user", "system", or "" if it
// is unknown. Interactly has several words for the assistant.
func (c CallInfo) EndedBy() string {
	if isAssistant(c.EndTrigger) {
		return "assistant"
	}
	return strings.ToLower(c.EndTrigger)
}

// isAssistant reports whether word is one of those for the assistant
// (docs/events.md#traps).
func isAssistant(word string) bool {
	switch strings.ToLower(word) {
	case "assistant", "agent", "bot":
		return true
	}
	return false
}

// Duration returns how long the assistant was on the call. It is 0 or meaningless
// before the end.
func (c CallInfo) Duration() time.Duration { return duration(c.DurationMS, time.Millisecond) }

// duration returns n units, or the longest Duration if n is larger.
func duration(n float64, unit time.Duration) time.Duration {
	n *= float64(unit)
	if math.Abs(n) >= math.MaxInt64 {
		return time.Duration(math.Copysign(1, n)) * math.MaxInt64
	}
	return time.Duration(n)
}

// A Recording is where the recording is. Both fields are empty until the end, and
// if nothing was recorded (docs/events.md#recording).
type Recording struct {
	Bucket string `json:"s3Bucket"`
	Path   string `json:"path"`
}

// A Cost is what the call cost, in the account's currency (docs/events.md#cost).
type Cost struct {
	Seconds      float64 `json:"callDuration"` // from start to end, in s
	Interactly   float64 `json:"interactlyCost"`
	Phone        float64 `json:"phoneCost"`
	TTS          float64 `json:"ttsVendorCost"`
	STT          float64 `json:"sttVendorCost"`
	LLM          float64 `json:"llmVendorCost"`
	Total        float64 `json:"totalCost"`
	TTSChars     int64   `json:"ttsGenCharsTotal"`
	InputTokens  int64   `json:"inputTokensTotal"`
	OutputTokens int64   `json:"outputTokensTotal"`
	Analysis     struct {
		Total float64 `json:"total"`
	} `json:"analysis"`
}

// Duration returns the time from start to end. It differs by some ms from
// [CallInfo.Duration].
func (c Cost) Duration() time.Duration { return duration(c.Seconds, time.Second) }

// A Phone is the telephony vendor, empty for web calls (docs/events.md#phone).
type Phone struct {
	Provider struct {
		Name string `json:"name"`
	} `json:"provider"`
}

// A Customer is the person on the line. Number is the call's UserNumber
// (docs/events.md#customer).
type Customer struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

// An Analysis is the result of the assistant's analysis steps, empty before the
// report. Each field is from message.analysis, or else from
// message.call.analysis (docs/events.md#analysis).
type Analysis struct {
	Summary    string         `json:"summary"`
	Success    string         `json:"successEvaluation"` // by the rubric: "Excellent", "true", "7"
	Structured jsontext.Value `json:"structuredData"`    // by the schema of the assistant; names may have spaces
	Outcome    string         `json:"outcome"`
	Guardrails string         `json:"guardrails"`
}

// or returns a with its empty fields from b.
func (a Analysis) or(b Analysis) Analysis {
	if a.Summary == "" {
		a.Summary = b.Summary
	}
	if a.Success == "" {
		a.Success = b.Success
	}
	if loosejson.IsEmpty(a.Structured) {
		a.Structured = b.Structured
	}
	if a.Outcome == "" {
		a.Outcome = b.Outcome
	}
	if a.Guardrails == "" {
		a.Guardrails = b.Guardrails
	}
	return a
}

// A VendorError is a failure of a model or a voice (docs/events.md#error). The
// values of all fields are open sets.
type VendorError struct {
	Type      string         `json:"type"` // "llm_error", "stt_error"
	Code      string         `json:"code"` // of the vendor
	Message   string         `json:"message"`
	Provider  string         `json:"provider"`
	Retryable bool           `json:"retryable"` // the request to the vendor, not the event
	Details   jsontext.Value `json:"details"`
}
