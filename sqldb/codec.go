package sqldb

import (
	"errors"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/internal/envelope"
)

// eventArgs is the payload of an event's job. It is opaque to the database,
// because PostgreSQL's jsonb would change a body's bytes and refuse a NUL in an
// id, and compressed, because bodies are repetitive text.
type eventArgs struct {
	Packed []byte `json:"e"`
	Call   string `json:"c,omitempty"` // see callDigest
}

// Kind implements river.JobArgs.
func (eventArgs) Kind() string { return "serverurl_event" }

var errUndecodable = errors.New("sqldb: an envelope in the inbox cannot be decoded")

func pack(e core.Envelope) (eventArgs, error) {
	b, err := envelope.Encode(e)
	return eventArgs{b, callDigest(e.Call)}, err
}

// unpackedSize is how many bytes unpack allocates.
func unpackedSize(args eventArgs) int64 { return envelope.DecodedSize(args.Packed) }

func unpack(args eventArgs) (core.Envelope, error) {
	es, err := envelope.Decode(args.Packed)
	if err != nil || len(es) != 1 {
		return core.Envelope{}, errUndecodable
	}
	return es[0], nil
}

// unpackArgs reads an envelope from a job's row.
func unpackArgs(encoded []byte) (core.Envelope, error) {
	var args eventArgs
	if err := json.Unmarshal(encoded, &args); err != nil {
		return core.Envelope{}, errUndecodable
	}
	return unpack(args)
}
