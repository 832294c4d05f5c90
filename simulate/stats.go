package simulate

import (
	"maps"
	"slices"
)

// cost returns call.cost; its callDuration is in seconds, while the call has
// milliseconds (docs/events.md#end-of-call-report).
func (c *call) cost() object {
	seconds := float64(c.elapsed()) / 1000
	parts := object{"interactlyCost": 0.000166 * seconds, "phoneCost": 0.0165, "ttsVendorCost": 0.01629, "sttVendorCost": 0.006756, "llmVendorCost": 0.004572}
	total := 0.0
	for _, name := range slices.Sorted(maps.Keys(parts)) { // the sum of floats depends on their order
		total += parts[name].(float64)
	}
	parts["totalCost"], parts["callDuration"] = total, seconds
	parts["analysis"] = object{"total": 0}
	parts["ttsGenCharsTotal"], parts["inputTokensTotal"], parts["outputTokensTotal"] = 181, 1934, 88
	return parts
}

// stats returns call.metrics.callStats. The turns are those of the call; the rest
// has the observed structure and values.
func (c *call) stats() object {
	users, bots, response := []object{}, []object{}, []int{}
	last := "welcome-1"
	for _, m := range c.messages {
		at := m["timestamp"].(int64) - c.start.UnixMilli()
		if m["role"] == "user" {
			last = m["messageId"].(string)
			users = append(users, object{"start": at, "end": at + 2150, "messageId": last})
			continue
		}
		if last != "welcome-1" {
			response = append(response, 1820)
		}
		bots = append(bots, object{"start": at, "end": at + 2810, "interrupted": false, "playedDuration": 2.81, "audioDuration": 2.81, "userMessageId": last, "stopSpeakingReason": nil})
	}
	return object{
		"userAudio": object{"delayedChunksCount": 31, "latencyAvg": 97.4, "latencyTotal": 3019, "cumulativeDuration": c.elapsed(), "droppedChunksCount": 0,
			"latencyIntervals": []object{{"max": 188, "count": 19, "avg": 104.2, "duration": 8004, "cumulativeDuration": 8004}}},
		"turns":      object{"user": len(users), "bot": len(bots), "played": len(bots), "interrupted": c.skipped, "skipped": c.skipped},
		"turnsStats": object{"userTurns": users, "botTurns": bots, "botResponseTime": response, "bargeInCount": c.skipped, "bargeInTimeAvg": 410},
		"ttsStats": object{"responseTimeDistribution": object{"0": 1, "100": 0, "200": 1, "300": 2}, "totalRequests": 4, "latencyAvg": 236.3, "latencyTotal": 945,
			"errors": 0, "retries": 0, "apiRequests": 3, "apiLatencyTotal": 939, "apiLatencyAvg": 313, "cacheRequests": 1, "cacheLatencyTotal": 6, "cacheLatencyAvg": 6},
		"llmStats": object{"responseCount": 3, "responseLatencyTotal": 5107.2, "responseLatencyAvg": 1702.4, "errors": 0, "hangups": 0,
			"responseTimeDistribution": object{"0": 0, "600": 1, "1500": 1, "2000": 1}, "inputTokens": 1934, "outputTokens": 88, "inputTokensAvg": 644.7, "outputTokensAvg": 29.3},
		"sttStats": object{"responseTimeDistribution": object{"0": 3, "100": 0}, "responseCount": 3, "responseLatencyAvg": -304.1, "relativeLatencyAvg": -298.8,
			"responseLatencyTotal": -912.3, "confidenceAvg": 0.9544, "connectionRetries": 0, "errors": 0, "confidenceDistribution": object{"0.9": 3}, "eouProbabilityDistribution": object{"0": 0, "0.9": 0}},
	}
}
