package event

import (
	"cmp"
	"time"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/serverurl/serverurl/internal/loosejson"
)

// An Event is one decoded message from Interactly. Everything in it except Type
// is optional: Interactly's documents disagree with each other, so a field that
// is missing or of an unexpected kind is left zero and never makes decoding
// fail. What has no Go field is in Raw.
//
// Comments on fields name their wire source where it is not the JSON tag.
type Event struct {
	Type     Type
	Time     time.Time // when it was sent (message.timestamp), or Received if it does not say (docs/events.md#traps)
	Received time.Time // when it was accepted, by our clock

	// Status is the call's status, normalized from whichever place and word the
	// event has for it; see [StatusFrom].
	Status Status

	Call      CallInfo
	Assistant Assistant
	Phone     Phone
	Customer  Customer
	Analysis  Analysis
	Error     *VendorError // not nil if Type is TypeError; seldom set in others

	// Tenant is the name of the secret that the sender knows, "" if secrets have no
	// names. With one, Call.ID has it before the id that was sent: "north/WC-1".
	Tenant string

	// Backfilled reports that the event was never sent. It was derived from what
	// Interactly's API returned about the call (docs/backfill.md).
	Backfilled bool

	// RedriveCount is how often an operator put the event back from the dead
	// letters.
	RedriveCount int

	// Raw is the body as it was accepted: secrets are redacted, nothing else is
	// changed.
	Raw jsontext.Value

	// rawMessages is the part of Raw with the conversation, from the first of its
	// two places that is not empty; nil if there is none.
	rawMessages jsontext.Value

	// Layout is where Raw has the parts that the call log stores separately.
	Layout loosejson.Layout
}

// Transcript decodes the conversation that the event carries: all of it, from the
// start of the call. Decode leaves it out, because every conversation-update
// repeats it and few handlers need it.
func (e Event) Transcript() []Message {
	return DecodeMessages(loosejson.List(e.rawMessages))
}

// A Status is how far a call has come. Unknown words are kept as sent.
type Status string

// The statuses, in the order in which a call passes through them. Only the last
// two are final; a forwarded call continues (docs/events.md#status-update).
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

// Rank orders the statuses: a call's status is never replaced by a lower one. An
// unknown word ranks as ongoing. A failure says more than an end, so it is
// higher.
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

// statusWords are other words for a status that were observed
// (docs/events.md#status-update).
var statusWords = map[string]Status{
	"scheduled": StatusInitiated, "received": StatusInitiated,
	"trying": StatusQueued, "early-media": StatusQueued, "ringing": StatusQueued, "ready": StatusQueued,
	"in-progress": StatusOngoing, "processing": StatusOngoing,
	"forwarding": StatusForwarded,
	"completed":  StatusFinished, "ended": StatusFinished,
	"busy": StatusFailed, "no-answer": StatusFailed,
}

// statusOf returns the Status for a word as sent.
func statusOf(word string) Status {
	if s, ok := statusWords[word]; ok {
		return s
	}
	return Status(word)
}

// StatusFrom returns the status from call.status, or from the older
// message.status if that is empty. The telephony's own status is independent of
// it, except for a failure, which may be in either as long as nobody has answered.
// After that it is the failure of a leg, such as a transfer's
// (docs/events.md#status-update).
func StatusFrom(call, older, telephony string) Status {
	s := statusOf(cmp.Or(call, older))
	answered := s.Rank() >= StatusOngoing.Rank() && !s.Terminal()
	if statusOf(telephony) == StatusFailed && !answered {
		return StatusFailed
	}
	return s
}
