package clinic

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/serverurl/serverurl/core/records"
)

// A Book keeps the visits of the clinics, which never see each other's.
type Book interface {
	// Between returns the visits in [from, to), the earliest first.
	Between(ctx context.Context, clinic string, from, to time.Time) ([]Entry, error)

	// Change removes the entry from and adds the entry to, both or neither; either
	// may be nil. With ErrNone and ErrTaken it has changed nothing; after another
	// error nobody knows.
	Change(ctx context.Context, clinic string, from, to *Entry) error

	// Note keeps what the office reads of a call.
	Note(ctx context.Context, clinic, call, text string) error
}

// Errors of a Book.
var (
	ErrTaken = errors.New("clinic: the time is taken")
	ErrNone  = errors.New("clinic: there is no such visit")
)

// An Entry is a visit in the book.
type Entry struct {
	At                   time.Time
	Service, Name, Phone string
}

func (in Visit) entry() Entry {
	return Entry{At: in.At.UTC(), Name: strings.TrimSpace(in.Patient.Name.Reveal()), Phone: strings.Trim(in.Patient.Phone.Reveal(), "+ ")}
}

// storeBook is a Book in the platform's store, for platforms without a database of
// one's own, such as a Worker.
type storeBook struct{ records.Store }

func key(kind, clinic, name string) string { return kind + "-" + cmp.Or(clinic, "any") + "/" + name }

func atKey(clinic string, at time.Time) string {
	return key("visits", clinic, at.UTC().Format(time.RFC3339))
}

func (b storeBook) Between(ctx context.Context, clinic string, from, to time.Time) (es []Entry, err error) {
	dir, after, _ := records.SplitKey(atKey(clinic, from.Add(-time.Second)))
	found, err := b.Range(ctx, dir, after, 1000)
	for _, rec := range found {
		var e Entry
		if err := json.Unmarshal(rec.Value, &e); err != nil {
			return nil, err
		}
		if e.At.Before(to) {
			es = append(es, e)
		}
	}
	return es, err
}

func (b storeBook) Change(ctx context.Context, clinic string, from, to *Entry) error {
	var changed []records.Record
	if from != nil {
		old, err := b.Get(ctx, atKey(clinic, from.At))
		var have Entry
		if err != nil || json.Unmarshal(old[0].Value, &have) != nil || have != *from {
			return cmp.Or(err, ErrNone)
		}
		old[0].Value, changed = nil, old
	}
	if to != nil {
		value, err := json.Marshal(to)
		if err != nil {
			return err
		}
		changed = append(changed, records.Record{Key: atKey(clinic, to.At), Value: value})
	}
	if err := b.Commit(ctx, changed...); !errors.Is(err, records.ErrStale) {
		return err
	}
	return ErrTaken
}

func (b storeBook) Note(ctx context.Context, clinic, call, text string) error {
	recs, err := b.Get(ctx, key("notes", clinic, records.KeyName(call)))
	if err != nil {
		return err
	}
	recs[0].Value = []byte(text)
	return b.Commit(ctx, recs[0])
}
