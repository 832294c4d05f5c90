package core

import (
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"
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

	// Millis is how long the assistant was on the call, in ms. It counts only
	// after the end.
	Millis float64 `json:"assistantCallDuration"`

	Recording Recording      `json:"recording"`
	Overrides jsontext.Value `json:"assistantOverrides"`
	Metadata  jsontext.Value `json:"metadata"` // as given when the call was created: the best handle
	Cost      *Cost          `json:"cost"`     // nil until the report
	Metrics   *CallMetrics   `json:"metrics"`  // nil until the report

	PhoneNumberID string    `json:"phoneNumberId"` // of calls read through the API
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
}

// EndedBy says who ended the call: "assistant", "user", "system", or "" while
// it is not known. The documents call the assistant bot as well.
func (c CallInfo) EndedBy() string {
	if c.EndTrigger == "bot" {
		return "assistant"
	}
	return c.EndTrigger
}

// Duration is how long the assistant was on the call.
func (c CallInfo) Duration() time.Duration {
	return time.Duration(c.Millis * float64(time.Millisecond))
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
	Seconds     float64 `json:"callDuration"` // from start to end, in s
	Interactly  float64 `json:"interactlyCost"`
	Phone       float64 `json:"phoneCost"`
	TTS         float64 `json:"ttsVendorCost"`
	STT         float64 `json:"sttVendorCost"`
	LLM         float64 `json:"llmVendorCost"`
	Total       float64 `json:"totalCost"`
	TTSChars    int64   `json:"ttsGenCharsTotal"`
	InputTokens int64   `json:"inputTokensTotal"`
	OutTokens   int64   `json:"outputTokensTotal"`
	Analysis    struct {
		Total float64 `json:"total"`
	} `json:"analysis"`
}

// CallMetrics are the figures of the whole call (docs/events.md#metrics). Times
// are in ms but for those that say otherwise. Distributions count by the lower
// bound of a bucket, as text.
type CallMetrics struct {
	Stats struct {
		UserAudio struct {
			DelayedChunks      int64   `json:"delayedChunksCount"`
			DroppedChunks      int64   `json:"droppedChunksCount"`
			LatencyAvg         float64 `json:"latencyAvg"`
			LatencyTotal       float64 `json:"latencyTotal"`
			CumulativeDuration float64 `json:"cumulativeDuration"`
			LatencyIntervals   []struct {
				Max                float64 `json:"max"`
				Count              int64   `json:"count"`
				Avg                float64 `json:"avg"`
				Duration           float64 `json:"duration"`
				CumulativeDuration float64 `json:"cumulativeDuration"`
			} `json:"latencyIntervals"`
		} `json:"userAudio"`
		Turns struct {
			User        int64 `json:"user"`
			Assistant   int64 `json:"bot"`
			Played      int64 `json:"played"`
			Interrupted int64 `json:"interrupted"`
			Skipped     int64 `json:"skipped"`
		} `json:"turns"`
		TurnStats struct {
			User []struct {
				Start     float64 `json:"start"`
				End       float64 `json:"end"`
				MessageID string  `json:"messageId"`
			} `json:"userTurns"`
			Assistant []struct {
				Start         float64 `json:"start"`
				End           float64 `json:"end"`
				Interrupted   bool    `json:"interrupted"`
				PlayedSeconds float64 `json:"playedDuration"`
				AudioSeconds  float64 `json:"audioDuration"`
				UserMessageID string  `json:"userMessageId"`
				StopReason    string  `json:"stopSpeakingReason"`
			} `json:"botTurns"`
			ResponseTimes []float64 `json:"botResponseTime"`
			BargeIns      int64     `json:"bargeInCount"`
			BargeInAvg    float64   `json:"bargeInTimeAvg"`
		} `json:"turnsStats"`
		TTS struct {
			ResponseTimes   map[string]int64 `json:"responseTimeDistribution"`
			Requests        int64            `json:"totalRequests"`
			LatencyAvg      float64          `json:"latencyAvg"`
			LatencyTotal    float64          `json:"latencyTotal"`
			Errors          int64            `json:"errors"`
			Retries         int64            `json:"retries"`
			APIRequests     int64            `json:"apiRequests"`
			APILatencyAvg   float64          `json:"apiLatencyAvg"`
			APILatencyTotal float64          `json:"apiLatencyTotal"`
			CacheRequests   int64            `json:"cacheRequests"`
			CacheLatencyAvg float64          `json:"cacheLatencyAvg"`
			CacheLatency    float64          `json:"cacheLatencyTotal"`
		} `json:"ttsStats"`
		LLM struct {
			ResponseTimes   map[string]int64 `json:"responseTimeDistribution"`
			Responses       int64            `json:"responseCount"`
			LatencyAvg      float64          `json:"responseLatencyAvg"`
			LatencyTotal    float64          `json:"responseLatencyTotal"`
			Errors          int64            `json:"errors"`
			Hangups         int64            `json:"hangups"`
			InputTokens     int64            `json:"inputTokens"`
			OutputTokens    int64            `json:"outputTokens"`
			InputTokensAvg  float64          `json:"inputTokensAvg"`
			OutputTokensAvg float64          `json:"outputTokensAvg"`
		} `json:"llmStats"`
		STT struct {
			ResponseTimes      map[string]int64 `json:"responseTimeDistribution"`
			Confidences        map[string]int64 `json:"confidenceDistribution"`
			EndProbabilities   map[string]int64 `json:"eouProbabilityDistribution"`
			Responses          int64            `json:"responseCount"`
			LatencyAvg         float64          `json:"responseLatencyAvg"` // negative values occur
			LatencyTotal       float64          `json:"responseLatencyTotal"`
			RelativeLatencyAvg float64          `json:"relativeLatencyAvg"`
			ConfidenceAvg      float64          `json:"confidenceAvg"`
			Reconnects         int64            `json:"connectionRetries"`
			Errors             int64            `json:"errors"`
		} `json:"sttStats"`
	} `json:"callStats"`
}

// Assistant is what an event says of the assistant: everything in the first
// events of a call, little or nothing later (docs/events.md#assistant).
type Assistant struct {
	ID                      string          `json:"_id"`
	Name                    string          `json:"name"`
	WelcomeMessage          string          `json:"welcomeMessage"`
	WelcomeMode             string          `json:"welcomeMessageMode"` // open set
	WelcomeInterruptions    bool            `json:"welcomeMessageInterruptionsEnabled"`
	EndCallMessage          string          `json:"endCallMessage"`
	EndCallPhrases          []string        `json:"endCallPhrases"`
	EndCallToolDescription  string          `json:"endCallToolDescription"`
	BargeIn                 bool            `json:"bargeInEnabled"`
	Backchanneling          bool            `json:"assistantBackchannelingEnabled"`
	DTMFInput               bool            `json:"dtmfInputEnabled"`
	TTSCache                bool            `json:"ttsCacheEnabled"`
	CallForward             jsontext.Value  `json:"callForwardData"` // an array or an object
	KnowledgeBaseIDs        []string        `json:"assistantKnowledgeBaseIds"`
	ToolIDs                 []string        `json:"assistantToolIds"`
	PredefinedTools         map[string]bool `json:"assistantPredefinedTools"`
	Provider                string          `json:"assistantProvider"` // "openai", "azure", others
	Model                   string          `json:"assistantModel"`
	LLMURL                  string          `json:"assistantLLMUrl"`
	SystemPrompt            string          `json:"assistantSystemPrompt"` // with {{variables}} as they are
	Temperature             float64         `json:"assistantTemperature"`
	MaxTokens               int64           `json:"assistantMaxTokens"`
	ResponseSplitter        string          `json:"assistantResponseSplitter"`
	MaxCallSeconds          int64           `json:"maxCallDuration"` // 900 by default
	IdleSeconds             int64           `json:"idleTimeout"`     // 20 by default
	MaxIdleMessages         int64           `json:"maxIdleMessagesInSequence"`
	BackgroundSound         string          `json:"backgroundSound"`
	BackgroundSoundVolume   float64         `json:"backgroundSoundVolume"`
	Analysis                jsontext.Value  `json:"assistantAnalysis"` // what is configured, not the results
	Server                  AssistantServer `json:"assistantServer"`
	Config                  AssistantConfig `json:"config"`
	StartSpeaking           jsontext.Value  `json:"startSpeakingOptions"`
	StopSpeaking            jsontext.Value  `json:"stopSpeakingOptions"`
	UserInterruptionAckPlan jsontext.Value  `json:"userInterruptionAckPlan"`
	NoiseSuppressorConfig   jsontext.Value  `json:"noiseSuppressorConfig"`
	TTSAudioCacheScope      string          `json:"ttsAudioCacheScope"`
}

// AssistantServer is the assistant's webhook configuration. The payload echoes
// our secret and headers in it; they are masked and not typed here.
type AssistantServer struct {
	Enabled        bool     `json:"enabled"`
	URL            string   `json:"url"`
	TimeoutSeconds float64  `json:"timeoutSeconds"` // 20 by default
	Messages       []string `json:"messages"`       // the types that are sent
}

// AssistantConfig holds the voices and the transcriber.
type AssistantConfig struct {
	Speech struct {
		STT struct {
			Vendor          string   `json:"vendor"`
			Language        string   `json:"language"`
			Languages       []string `json:"languages"`
			ProfanityFilter bool     `json:"profanityFilter"`
			Interim         bool     `json:"interim"`
			Hints           []string `json:"hints"`
		} `json:"stt"`
		STTFallback jsontext.Value `json:"sttFallback"`
		TTS         []struct {
			Vendor    string         `json:"vendor"`
			Language  string         `json:"language"`
			Voice     string         `json:"voice"`
			VoiceName string         `json:"voiceName"`
			Default   bool           `json:"default"`
			Config    jsontext.Value `json:"config"`
		} `json:"ttsData"`
	} `json:"speech"`
}

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
	if emptyValue(a.Structured) {
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

// A Failure is what went wrong with a model or a voice
// (docs/events.md#error). All sets are open.
type Failure struct {
	Type      string         `json:"type"` // "llm_error", "stt_error"
	Code      string         `json:"code"` // the vendor's
	Message   string         `json:"message"`
	Provider  string         `json:"provider"`
	Retryable bool           `json:"retryable"` // the vendor's call, not the event
	Details   jsontext.Value `json:"details"`
}

// A Message is one thing said (docs/events.md#messages).
type Message struct {
	ID      string           `json:"messageId"` // unique within one call only
	Role    string           `json:"role"`      // "user" or "assistant"
	Text    string           `json:"text"`
	Time    time.Time        `json:"timestamp"`
	Metrics *MessageMetrics  `json:"metrics"`                  // nil where there are none
	Skipped []SkippedMessage `json:"skippedAssistantMessages"` // what the caller did not let be said
	Older   []SkippedMessage `json:"skippedBotMessages"`       // the same under its other name
}

// FromAssistant reports whether the assistant said it, whatever word the
// sender has for it.
func (m Message) FromAssistant() bool {
	switch strings.ToLower(m.Role) {
	case "assistant", "agent", "bot":
		return true
	}
	return false
}

// A SkippedMessage was meant to be said and was not. Two forms of it were seen.
type SkippedMessage struct {
	ID        string    `json:"messageId"`
	Role      string    `json:"role"`
	Text      string    `json:"text"`
	Time      time.Time `json:"timestamp"`
	OtherID   string    `json:"botMessageId"`
	OtherText string    `json:"botMessage"`
	Important bool      `json:"isImportant"`
}

// MessageMetrics are the figures of one turn, in ms; negative values occur, in
// counts too (docs/events.md#messages).
type MessageMetrics struct {
	Timeline struct {
		Elapsed float64 `json:"totalElapsedTimeMs"` // since the call began
		Offset  float64 `json:"offsetFromPreviousTurnMs"`
	} `json:"timeline"`
	Audio struct {
		Received                 float64 `json:"totalAudioReceivedMs"`
		Offset                   float64 `json:"offsetFromPreviousTurnMs"`
		DelayedPackets           float64 `json:"delayedPacketsPerTurnCount"`
		DelayedPacketsCumulative float64 `json:"delayedPacketsCumulativeCount"`
		LostPacketsCumulative    float64 `json:"lostPacketsCumulativeCount"`
		Delay                    float64 `json:"audioDelayPerTurnMs"`
		DelayCumulative          float64 `json:"audioDelayCumulativeMs"`
	} `json:"audio"`
	STT struct {
		Time            time.Time `json:"timestampMs"`
		Start           float64   `json:"startOffsetMs"`
		End             float64   `json:"endOffsetMs"`
		Duration        float64   `json:"durationMs"`
		VAD             float64   `json:"vadMs"`
		RelativeLatency float64   `json:"relativeLatencyMs"`
		Confidence      float64   `json:"confidence"` // 0 to 1
	} `json:"stt"`
	EndOfUtterance struct {
		TurnDetection float64 `json:"turnDetectionTimeMs"`
		Queue         float64 `json:"queueLatencyMs"`
	} `json:"interactlyEOU"`
	LLM struct {
		Time     time.Time `json:"timestampMs"`
		Queue    float64   `json:"queueLatencyMs"`
		Response float64   `json:"responseLatencyMs"`
	} `json:"llm"`
	TTS struct {
		Audio      float64 `json:"audioDurationMs"`
		Queue      float64 `json:"queueLatencyMs"`
		Generation float64 `json:"generationTimeMs"`
		Cached     bool    `json:"isCachePlaying"`
	} `json:"tts"`
	Player struct {
		Wait float64 `json:"waitTimeMs"`
	} `json:"interactlyPlayer"`
}
