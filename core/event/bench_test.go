package event

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkDecode is the decode of a conversation-update of 200 kB.
func BenchmarkDecode(b *testing.B) {
	var ms []string
	for n := range 400 {
		ms = append(ms, fmt.Sprintf(`{"messageId":"user-%d","role":"user","text":"I would like to book a cleaning next week.","timestamp":1784044938334,"metrics":{"timeline":{"offsetFromPreviousTurnMs":6260,"totalElapsedTimeMs":6480},"audio":{"delayedPacketsPerTurnCount":2,"delayedPacketsCumulativeCount":-1,"totalAudioReceivedMs":6468},"stt":{"timestampMs":1784044937334,"startOffsetMs":3330,"endOffsetMs":5480,"durationMs":2150,"vadMs":480,"relativeLatencyMs":-305,"confidence":0.9312}},"skippedAssistantMessages":[]}`, n))
	}
	body := []byte(`{"message":{"timestamp":1784044932072,"type":"conversation-update","call":{"id":"CA1","teamId":"68a41f0c9b7e2d5513c0aa71","assistantId":"69b2d7e4f0a1c83b5e6d9f02","callType":"phone","direction":"inbound","startAt":"2026-07-14T16:02:11.854Z","status":"ongoing","metadata":{"practiceId":"prac_204"}},"assistant":{},"messages":[` + strings.Join(ms, ",") + `],"phone":{"provider":{"name":"twilio"}},"customer":{"number":"+14155550142"},"analysis":{}}}`)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Decode(body, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
