package event

import (
	"cmp"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A Message is one thing said (docs/events.md#messages).
type Message struct {
	ID          string               `json:"messageId"` // unique within one call only
	Role        string               `json:"role"`      // as sent, "user" or "assistant"; see FromAssistant
	Text        string               `json:"text"`
	Time        time.Time            `json:"timestamp"`
	Metrics     *MessageMetrics      `json:"metrics"`                  // nil where there are none
	Interrupted []InterruptedMessage `json:"skippedAssistantMessages"` // what the caller did not let be said
}

// FromAssistant reports whether the assistant said it, whatever word the
// sender has for it.
func (m Message) FromAssistant() bool { return isAssistant(m.Role) }

// A InterruptedMessage was meant to be said and was not. Of the two forms that were
// seen, one has only an ID, a Text and Important.
type InterruptedMessage struct {
	ID        string    `json:"messageId"`
	Role      string    `json:"role"`
	Text      string    `json:"text"`
	Time      time.Time `json:"timestamp"`
	Important bool      `json:"isImportant"`
}

// DecodeMessages decodes a conversation. What is no object is left out.
func DecodeMessages(raw []jsontext.Value) []Message {
	ms := make([]Message, 0, len(raw))
	for _, v := range raw {
		var m struct {
			Message
			Older []InterruptedMessage `json:"skippedBotMessages"` // another name for Skipped
		}
		if v.Kind() != '{' || json.Unmarshal(v, &m, lenient) != nil {
			continue
		}
		m.Interrupted = append(m.Interrupted, m.Older...)
		ms = append(ms, m.Message)
	}
	return ms
}

// readInterrupted reads a skipped message of either form.
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
