package callstate

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/serverurl/serverurl/core/records"
)

// A QuarantinedBody is the body of an authenticated request that could not be
// decoded as an event. Events are sent once, so it is stored for an operator, and
// for a later version of the program that can decode it.
type QuarantinedBody struct {
	ID       string    `json:"id"` // a hash of the body, so that a repeated one is stored once
	Received time.Time `json:"received"`
	Tenant   string    `json:"tenant,omitempty"`   // who sent it
	Reason   string    `json:"reason"`             // a constant of core: "not json", "too deep"
	Encoding string    `json:"encoding,omitempty"` // the Content-Encoding it was sent with
	Bytes    int       `json:"bytes"`              // of Body
	TriedBy  string    `json:"triedBy,omitempty"`  // a digest of the program that last tried to decode it

	// Body has the secrets redacted that can be found in it. It may be any bytes,
	// not always JSON. Lists leave it nil.
	Body []byte `json:"body,omitempty"`
}

// PutQuarantined stores a body, first its parts and then the record that names
// them. One that is there already stays as it is.
func PutQuarantined(ctx context.Context, s records.Store, q QuarantinedBody) error {
	for i := 0; i*partSize < len(q.Body); i++ {
		part := q.Body[i*partSize : min((i+1)*partSize, len(q.Body))]
		err := s.Commit(ctx, records.Record{Key: partKey(QuarantineBlobsDir, q.ID, i), Value: part})
		if err != nil && !errors.Is(err, records.ErrStale) {
			return err
		}
	}
	q.Bytes, q.Body = len(q.Body), nil
	err := putQuarantineRecord(ctx, s, q, 0)
	if errors.Is(err, records.ErrStale) {
		return nil
	}
	return err
}

func putQuarantineRecord(ctx context.Context, s records.Store, q QuarantinedBody, version int64) error {
	value, err := json.Marshal(q)
	if err != nil {
		return errors.New("callstate: quarantine record encoding failed") // the encoder's text quotes it
	}
	return s.Commit(ctx, records.Record{Key: quarantineKey(q.ID), Value: value, Version: version})
}

func quarantineKey(id string) string { return QuarantineDir + "/" + records.KeyName(id) }

// MarkQuarantined notes that a program has tried to decode a body, in vain.
func MarkQuarantined(ctx context.Context, s records.Store, id, triedBy string) error {
	q, version, err := QuarantineRecord(ctx, s, id)
	if err != nil {
		return err
	}
	q.TriedBy = triedBy
	return putQuarantineRecord(ctx, s, q, version)
}

// ListQuarantine returns up to limit quarantined bodies after an ID, "" for the
// first, in the order of IDs, and without Body.
func ListQuarantine(ctx context.Context, s records.Store, after string, limit int) ([]QuarantinedBody, error) {
	recs, err := s.Range(ctx, QuarantineDir, after, limit)
	if err != nil {
		return nil, err
	}
	qs := make([]QuarantinedBody, len(recs))
	for i, r := range recs {
		qs[i] = decodeQuarantineRecord(r)
	}
	return qs, nil
}

// decodeQuarantineRecord returns a damaged record as one without a body, so that an
// operator sees it and can delete it.
func decodeQuarantineRecord(r records.Record) (q QuarantinedBody) {
	if json.Unmarshal(r.Value, &q) != nil || q.ID == "" || q.Body != nil {
		_, name, _ := records.SplitKey(r.Key)
		return QuarantinedBody{ID: name, Reason: "record damaged"}
	}
	return q
}

// GetQuarantined returns a quarantined body, or ErrNotQuarantined.
func GetQuarantined(ctx context.Context, s records.Store, id string) (QuarantinedBody, error) {
	q, _, err := QuarantineRecord(ctx, s, id)
	if err != nil {
		return q, err
	}
	if q.Bytes == 0 {
		return q, ErrBadRecord
	}
	var body bytes.Buffer
	for i := 0; body.Len() < q.Bytes; i++ {
		recs, err := s.Get(ctx, partKey(QuarantineBlobsDir, q.ID, i))
		if err != nil {
			return q, err
		}
		if recs[0].Version == 0 || len(recs[0].Value) == 0 {
			return q, ErrBadRecord
		}
		body.Write(recs[0].Value)
	}
	q.Body = body.Bytes()
	return q, nil
}

// QuarantineRecord returns a quarantined body without Body, and the version of its
// record, or ErrNotQuarantined.
func QuarantineRecord(ctx context.Context, s records.Store, id string) (q QuarantinedBody, version int64, err error) {
	recs, err := s.Get(ctx, quarantineKey(id))
	if err != nil {
		return q, 0, err
	}
	if recs[0].Version == 0 {
		return q, 0, ErrNotQuarantined
	}
	return decodeQuarantineRecord(recs[0]), recs[0].Version, nil
}

// DeleteQuarantined deletes a quarantined body, or returns ErrNotQuarantined. Its
// parts go first: if that is cut off, the record is still there to delete it by.
func DeleteQuarantined(ctx context.Context, s records.Store, id string) error {
	q, version, err := QuarantineRecord(ctx, s, id)
	if err != nil {
		return err
	}
	for i := 0; i*partSize < q.Bytes; i++ {
		recs, err := s.Get(ctx, partKey(QuarantineBlobsDir, q.ID, i))
		if err != nil {
			return err
		}
		if err := deleteRecords(ctx, s, recs); err != nil {
			return err
		}
	}
	err = s.Commit(ctx, records.Record{Key: quarantineKey(id), Version: version})
	if errors.Is(err, records.ErrStale) {
		return nil // another operator was faster
	}
	return err
}
