package event

import (
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// An Event is one message from Interactly, decoded. Everything in it is
// optional but Type and Call.ID: the documents disagree with each other, so a
// field that is missing or of an unexpected kind is left zero and never makes
// an event fail. What is not typed here is in Raw.
type Event struct {
	Type     Type
	Time     time.Time // when it was sent, or Received where it does not say (docs/events.md#traps)
	Received time.Time

	// Status is the call's, in our words, whichever place and word the event
	// has for it.
	Status Status

	Call      CallInfo
	Assistant Assistant
	Phone     Phone
	Customer  Customer
	Analysis  Analysis
	Error     *VendorError // never nil in an error, seldom set in others

	// Backfilled is set where the event was never sent: it says what Interactly's
	// API answered when it was asked (docs/repair.md).
	Backfilled bool

	// RedriveCount is how often the event came back from the dead letters.
	RedriveCount int

	// Raw is the event as it was accepted: secrets are masked, nothing else is
	// changed.
	Raw jsontext.Value

	// rawMessages is a part of Raw: the conversation, from the first of its two
	// places that is not empty; nil where there is none.
	rawMessages jsontext.Value

	Layout loosejson.Layout // of Raw
}

// Transcript decodes the conversation that the event carries: all of it, from
// the start of the call. It is not decoded before, because each
// conversation-update repeats it.
func (e Event) Transcript() []Message {
	return DecodeMessages(loosejson.List(e.rawMessages))
}

// A Status is how far a call has come. Words that are not known are kept as
// they came.
type Status string

// The statuses, in the order in which a call passes them. A forwarded call is
// not over; the last two are (docs/events.md#status-update).
const (
	StatusInitiated Status = "initiated"
	StatusQueued    Status = "queued"
	StatusOngoing   Status = "ongoing"
	StatusForwarded Status = "forwarded"
	StatusFinished  Status = "finished"
	StatusFailed    Status = "failed"
)

// Terminal reports whether the call is over.
func (s Status) Terminal() bool { return s.Rank() >= StatusFinished.Rank() }

// Rank orders the statuses; one never gives way to a lower one. A word that is
// not known is somewhere in the middle of a call. A failure tells more than an
// end, so it is above it.
func (s Status) Rank() int {
	switch s {
	case "":
		return 0
	case StatusInitiated:
		return 1
	case StatusQueued:
		return 2
	case StatusOngoing:
		return 3
	case StatusForwarded:
		return 4
	case StatusFinished:
		return 5
	case StatusFailed:
		return 6
	}
	return 3
}

// statusWords are the other words for a status that were seen
// (docs/events.md#status-update).
var statusWords = map[string]Status{
	"scheduled": StatusInitiated, "received": StatusInitiated,
	"trying": StatusQueued, "early-media": StatusQueued, "ringing": StatusQueued, "ready": StatusQueued,
	"in-progress": StatusOngoing, "processing": StatusOngoing,
	"forwarding": StatusForwarded,
	"completed":  StatusFinished, "ended": StatusFinished,
	"busy": StatusFailed, "no-answer": StatusFailed,
}

func statusOf(word string) Status {
	if s, ok := statusWords[word]; ok {
		return s
	}
	return Status(word)
}

// StatusFrom reads the status from its two places, the older one only where the
// newer is empty. The telephony's own status is another thing and says nothing
// about it, but for a failure, which may stand in either
// (docs/events.md#status-update).
func StatusFrom(call, older, telephony string) Status {
	if statusOf(telephony) == StatusFailed {
		return StatusFailed
	}
	if call == "" {
		call = older
	}
	return statusOf(call)
}
