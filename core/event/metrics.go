package event

// CallMetrics are the measurements of the whole call, from call.metrics
// (docs/events.md#metrics). Times are in ms, except for fields whose name ends in
// Seconds. A distribution maps the lower bound of a bucket, as text, to a count.
type CallMetrics struct {
	Stats struct {
		// UserAudio is the audio received from the caller.
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
		// Turns counts the turns of both sides.
		Turns struct {
			User        int64 `json:"user"`
			Assistant   int64 `json:"bot"`
			Played      int64 `json:"played"`
			Interrupted int64 `json:"interrupted"`
			Skipped     int64 `json:"skipped"`
		} `json:"turns"`
		// TurnStats lists the turns and their times.
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
		// TTS is text to speech, from the vendor's API or a cache.
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
		// LLM is the language model.
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
		// STT is speech to text.
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
