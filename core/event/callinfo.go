package event

import (
	"math"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// CallInfo is what an event says of its call (docs/events.md#call).
type CallInfo struct {
	ID          CallID `json:"id"` // opaque; unique
	TeamID      string `json:"teamId"`
	AssistantID string `json:"assistantId"`
	Type        string `json:"callType"`  // "phone", "web", others
	Direction   string `json:"direction"` // "inbound", "outbound", "" at first

	// StartedAt is rewritten when the call is answered; the last one counts.
	StartedAt time.Time `json:"startAt"`
	EndedAt   time.Time `json:"endAt"` // zero until the report

	// The numbers are E.164 for a phone call. For a web call UserNumber is
	// "web-" and a display name, AssistantNumber the assistant's id.
	UserNumber      string `json:"userNumber"`
	AssistantNumber string `json:"assistantNumber"`

	RawStatus         string `json:"status"`          // as sent; see Event.Status
	PhoneStatus       string `json:"phoneCallStatus"` // telephony's, independent of the call's
	PhoneStatusReason string `json:"phoneCallStatusReason"`
	EndTrigger        string `json:"callEndTriggerBy"` // as sent; see EndedBy

	// DurationMS is how long the assistant was on the call, in ms. It counts only
	// after the end.
	DurationMS float64 `json:"assistantCallDuration"`

	Recording Recording      `json:"recording"`
	Overrides jsontext.Value `json:"assistantOverrides"`
	Metadata  jsontext.Value `json:"metadata"` // as given when the call was created: the best handle
	Cost      *Cost          `json:"cost"`     // nil until the report; {} counts as nil
	Metrics   *CallMetrics   `json:"metrics"`  // so too

	PhoneNumberID string    `json:"phoneNumberId"` // of calls read through the API
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// EndedBy says who ended the call: "assistant", "user", "system", or "" while
// it is not known. The documents call the assistant bot as well.
func (c CallInfo) EndedBy() string {
	if isAssistant(c.EndTrigger) {
		return "assistant"
	}
	return strings.ToLower(c.EndTrigger)
}

// isAssistant knows the words that senders have for the assistant
// (docs/events.md#traps).
func isAssistant(word string) bool {
	switch strings.ToLower(word) {
	case "assistant", "agent", "bot":
		return true
	}
	return false
}

// Duration is how long the assistant was on the call. It is 0 or means nothing
// before the end.
func (c CallInfo) Duration() time.Duration { return duration(c.DurationMS, time.Millisecond) }

// duration is n units, or the longest that there is.
func duration(n float64, unit time.Duration) time.Duration {
	n *= float64(unit)
	if math.Abs(n) >= math.MaxInt64 {
		return time.Duration(math.Copysign(1, n)) * math.MaxInt64
	}
	return time.Duration(n)
}

// Recording is where the recording is; both are empty until the end, and where
// nothing was recorded (docs/events.md#recording).
type Recording struct {
	Bucket string `json:"s3Bucket"`
	Path   string `json:"path"`
}

// Cost is what the call cost, in the account's currency
// (docs/events.md#cost).
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

// Duration is the time from start to end. It differs by some ms from the
// call's own.
func (c Cost) Duration() time.Duration { return duration(c.Seconds, time.Second) }

// Phone is the telephony vendor, empty for web calls (docs/events.md#phone).
type Phone struct {
	Provider struct {
		Name string `json:"name"`
	} `json:"provider"`
}

// Customer is who is on the line; the number is the call's UserNumber
// (docs/events.md#customer).
type Customer struct {
	Number string `json:"number"`
	Name   string `json:"name"`
}

// Analysis is what was made of the call, empty before the report. Of each
// field the event's own value counts, then the call's
// (docs/events.md#analysis).
type Analysis struct {
	Summary    string         `json:"summary"`
	Success    string         `json:"successEvaluation"` // as the rubric has it: "Excellent", "true", "7"
	Structured jsontext.Value `json:"structuredData"`    // names are the schema's, spaces and all
	Outcome    string         `json:"outcome"`
	Guardrails string         `json:"guardrails"`
}

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

// A VendorError is what went wrong with a model or a voice
// (docs/events.md#error). All sets are open.
type VendorError struct {
	Type      string         `json:"type"` // "llm_error", "stt_error"
	Code      string         `json:"code"` // the vendor's
	Message   string         `json:"message"`
	Provider  string         `json:"provider"`
	Retryable bool           `json:"retryable"` // the vendor's call, not the event
	Details   jsontext.Value `json:"details"`
}
