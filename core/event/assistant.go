package event

import (
	"github.com/go-json-experiment/json/jsontext"
)

// An Assistant is the configuration of the assistant, from message.assistant: all
// of it in the first events of a call, little or nothing later
// (docs/events.md#assistant).
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
	SystemPrompt            string          `json:"assistantSystemPrompt"` // {{variables}} are not filled in
	Temperature             float64         `json:"assistantTemperature"`
	MaxTokens               int64           `json:"assistantMaxTokens"`
	ResponseSplitter        string          `json:"assistantResponseSplitter"`
	MaxCallSeconds          int64           `json:"maxCallDuration"` // 900 by default
	IdleSeconds             int64           `json:"idleTimeout"`     // 20 by default
	MaxIdleMessages         int64           `json:"maxIdleMessagesInSequence"`
	BackgroundSound         string          `json:"backgroundSound"`
	BackgroundSoundVolume   float64         `json:"backgroundSoundVolume"`
	Analysis                jsontext.Value  `json:"assistantAnalysis"` // the configuration, not the results
	Server                  AssistantServer `json:"assistantServer"`
	Config                  AssistantConfig `json:"config"`
	StartSpeaking           jsontext.Value  `json:"startSpeakingOptions"`
	StopSpeaking            jsontext.Value  `json:"stopSpeakingOptions"`
	UserInterruptionAckPlan jsontext.Value  `json:"userInterruptionAckPlan"`
	NoiseSuppressorConfig   jsontext.Value  `json:"noiseSuppressorConfig"`
	TTSAudioCacheScope      string          `json:"ttsAudioCacheScope"`
}

// An AssistantServer is the assistant's webhook configuration. The payload
// repeats our secret and headers in it; those are redacted and have no field.
type AssistantServer struct {
	Enabled        bool     `json:"enabled"`
	URL            string   `json:"url"`
	TimeoutSeconds float64  `json:"timeoutSeconds"` // 20 by default
	Messages       []string `json:"messages"`       // the types of events that are sent
}

// An AssistantConfig is the configuration of voices and transcriber.
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
