package event

import (
	"cmp"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Message is one utterance of a conversation (docs/events.md#messages).
type Message struct {
	ID          string               `json:"messageId"` // unique within one call only
	Role        string               `json:"role"`      // as sent, "user" or "assistant"; see FromAssistant
	Text        string               `json:"text"`
	Time        time.Time            `json:"timestamp"`
	Metrics     *MessageMetrics      `json:"metrics"`                  // nil if there are none
	Interrupted []InterruptedMessage `json:"skippedAssistantMessages"` // what the caller's interruption kept from being spoken
}

// FromAssistant reports whether the assistant said it. The role has several words
// for the assistant.
func (m Message) FromAssistant() bool { return isAssistant(m.Role) }

// Spoken reports whether somebody said it. Vapi lists the prompt, tool calls and
// their results among the messages.
func (m Message) Spoken() bool {
	switch strings.ToLower(m.Role) {
	case "system", "tool", "tool_calls", "tool_call_result", "function":
		return false
	}
	return true
}

// An InterruptedMessage was to be spoken and was not. Two forms of it were
// observed; one has nothing but an ID, a Text and Important.
type InterruptedMessage struct {
	ID        string    `json:"messageId"`
	Role      string    `json:"role"`
	Text      string    `json:"text"`
	Time      time.Time `json:"timestamp"`
	Important bool      `json:"isImportant"`
}

// DecodeMessages decodes a conversation, of Interactly or of Vapi. Elements that are not objects are left
// out. The result is never nil.
func DecodeMessages(raw []jsontext.Value) []Message {
	ms := make([]Message, 0, len(raw))
	for _, v := range raw {
		var m struct {
			Message
			Older    []InterruptedMessage `json:"skippedBotMessages"` // an older name of the same field
			VapiText string               `json:"message"`
			VapiTime time.Time            `json:"time"`
		}
		if v.Kind() != '{' || json.Unmarshal(v, &m, lenient) != nil {
			continue
		}
		m.Interrupted = append(m.Interrupted, m.Older...)
		m.Text = cmp.Or(m.Text, m.VapiText)
		if m.Time.IsZero() {
			m.Time = m.VapiTime
		}
		ms = append(ms, m.Message)
	}
	return ms
}

// readInterrupted reads an interrupted message of either form.
func readInterrupted(d *jsontext.Decoder, to *InterruptedMessage) error {
	var m struct {
		ID        string    `json:"messageId"`
		OtherID   string    `json:"botMessageId"`
		Role      string    `json:"role"`
		Text      string    `json:"text"`
		OtherText string    `json:"botMessage"`
		Time      time.Time `json:"timestamp"`
		Important bool      `json:"isImportant"`
	}
	err := json.UnmarshalDecode(d, &m)
	*to = InterruptedMessage{ID: cmp.Or(m.ID, m.OtherID), Role: m.Role, Text: cmp.Or(m.Text, m.OtherText), Time: m.Time, Important: m.Important}
	return err
}

// MessageMetrics are the measurements of one turn, in ms unless a name says
// otherwise. Negative values occur, even in counts (docs/events.md#messages).
type MessageMetrics struct {
	// Timeline is when the turn was, relative to the call and the turn before.
	Timeline struct {
		Elapsed float64 `json:"totalElapsedTimeMs"` // since the call began
		Offset  float64 `json:"offsetFromPreviousTurnMs"`
	} `json:"timeline"`
	// Audio is the audio received from the caller.
	Audio struct {
		Received                 float64 `json:"totalAudioReceivedMs"`
		Offset                   float64 `json:"offsetFromPreviousTurnMs"`
		DelayedPackets           float64 `json:"delayedPacketsPerTurnCount"`
		DelayedPacketsCumulative float64 `json:"delayedPacketsCumulativeCount"`
		LostPacketsCumulative    float64 `json:"lostPacketsCumulativeCount"`
		Delay                    float64 `json:"audioDelayPerTurnMs"`
		DelayCumulative          float64 `json:"audioDelayCumulativeMs"`
	} `json:"audio"`
	// STT is speech to text.
	STT struct {
		Time            time.Time `json:"timestampMs"`
		Start           float64   `json:"startOffsetMs"`
		End             float64   `json:"endOffsetMs"`
		Duration        float64   `json:"durationMs"`
		VAD             float64   `json:"vadMs"`
		RelativeLatency float64   `json:"relativeLatencyMs"`
		Confidence      float64   `json:"confidence"` // 0 to 1
	} `json:"stt"`
	// EndOfUtterance is how long it took to decide that the caller had finished.
	EndOfUtterance struct {
		TurnDetection float64 `json:"turnDetectionTimeMs"`
		Queue         float64 `json:"queueLatencyMs"`
	} `json:"interactlyEOU"`
	// LLM is the language model's response.
	LLM struct {
		Time     time.Time `json:"timestampMs"`
		Queue    float64   `json:"queueLatencyMs"`
		Response float64   `json:"responseLatencyMs"`
	} `json:"llm"`
	// TTS is text to speech.
	TTS struct {
		Audio      float64 `json:"audioDurationMs"`
		Queue      float64 `json:"queueLatencyMs"`
		Generation float64 `json:"generationTimeMs"`
		Cached     bool    `json:"isCachePlaying"`
	} `json:"tts"`
	// Player is the playback to the caller.
	Player struct {
		Wait float64 `json:"waitTimeMs"`
	} `json:"interactlyPlayer"`
}
