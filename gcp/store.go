package gcp

import (
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	firestore "cloud.google.com/go/firestore/apiv1"
	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
	"github.com/serverurl/serverurl/internal/retry"
)

// The document of a record: serverurl/=DIRECTORY/records/=NAME. The sign before each
// makes an id of every name: Firestore has none that is ".", ".." or __so__.
const (
	collection = "serverurl"
	group      = "records" // firestore.indexes.json names it
	idSign     = "="
)

// Fields of a document, short because they are stored with each.
const (
	fieldValue   = "v"
	fieldToken   = "r" // random, of the writer
	fieldExpires = "e" // of the database's time to live
)

// A Store keeps records in a Firestore database in native mode: a document is
// a record, its directory a document above it. A commit is one request without a
// transaction: each write has the condition that its document was last
// changed when the writer saw it. So a version is the time of the change, by
// Firestore's clock, which also decides ages and expiry.
type Store struct {
	client   func() (*firestore.Client, error)
	database string // projects/P/databases/D
}

var _ records.Store = (*Store)(nil)

// NewStore returns a store in a database that exists, named as
// "projects/P/databases/D". It makes no request before it is used.
func NewStore(client *firestore.Client, database string) *Store {
	return &Store{client: func() (*firestore.Client, error) { return client, nil }, database: database}
}

// A document is what is at a key, and when that was so.
type document struct {
	doc *firestorepb.Document // nil: none
	at  time.Time
}

// version is the time of the last change in microseconds, which is what
// Firestore counts in, and whether it can expire: a commit has to look first
// at what can.
func (d document) version() int64 {
	v := d.doc.GetUpdateTime().AsTime().UnixMicro() << 1
	if _, can := d.doc.GetFields()[fieldExpires]; can {
		v |= 1
	}
	return v
}

func canExpire(version int64) bool { return version&1 != 0 }

func changedAt(version int64) *timestamppb.Timestamp {
	return timestamppb.New(time.UnixMicro(version >> 1))
}

// live reports whether there is a record that has not expired.
func (d document) live() bool {
	if d.doc == nil {
		return false
	}
	e := d.doc.Fields[fieldExpires].GetTimestampValue()
	return e == nil || d.at.Before(e.AsTime())
}

func (d document) record(key string) (records.Record, error) {
	r := records.Record{Key: key}
	if !d.live() {
		return r, nil
	}
	value, ok := d.doc.Fields[fieldValue].GetValueType().(*firestorepb.Value_BytesValue)
	if !ok {
		return r, errors.New("gcp: a document is not a record")
	}
	r.Value, r.Version = value.BytesValue, d.version()
	if r.Value == nil {
		r.Value = []byte{}
	}
	r.Age = max(0, d.at.Sub(d.doc.GetUpdateTime().AsTime()))
	if e := d.doc.Fields[fieldExpires].GetTimestampValue(); e != nil {
		r.Expires = e.AsTime()
	}
	return r, nil
}

// escapeSlash makes one name of a directory.
var escapeSlash = strings.NewReplacer("%", "%%", "/", "%-")

// dirDocument is the document that stands for a directory.
func (s *Store) dirDocument(dir string) string {
	return s.database + "/documents/" + collection + "/" + idSign + escapeSlash.Replace(dir)
}

// name is the document of a key.
func (s *Store) name(key string) string {
	dir, name, _ := records.SplitKey(key) // checked before
	return s.dirDocument(dir) + "/" + group + "/" + idSign + name
}

// getBatch is the most keys in one request; the answer is a stream.
const getBatch = 100

// Get implements records.Store.
func (s *Store) Get(ctx context.Context, keys ...string) ([]records.Record, error) {
	for _, k := range keys {
		if _, _, err := records.SplitKey(k); err != nil {
			return nil, err
		}
	}
	found, err := s.documents(ctx, keys)
	if err != nil {
		return nil, err
	}
	rs := make([]records.Record, len(keys))
	seen := make(map[string]bool, len(keys))
	for i, k := range keys {
		if rs[i], err = found[k].record(k); err != nil {
			return nil, err
		}
		if seen[k] { // asked for twice: each has its own bytes
			rs[i].Value = slices.Clone(rs[i].Value)
		}
		seen[k] = true
	}
	return rs, nil
}

// documents reads the documents at the keys.
func (s *Store) documents(ctx context.Context, keys []string) (map[string]document, error) {
	found := make(map[string]document, len(keys))
	key := make(map[string]string, len(keys)) // by name of its document
	var names []string
	for _, k := range keys {
		name := s.name(k)
		if _, twice := key[name]; !twice {
			key[name] = k
			names = append(names, name)
		}
	}
	for some := range slices.Chunk(names, getBatch) {
		err := s.read(ctx, "get", func(client *firestore.Client) error {
			stream, err := client.BatchGetDocuments(ctx, &firestorepb.BatchGetDocumentsRequest{Database: s.database, Documents: some})
			if err != nil {
				return err
			}
			for {
				r, err := stream.Recv()
				if err == io.EOF {
					return nil
				}
				if err != nil {
					return err
				}
				if doc := r.GetFound(); doc != nil {
					found[key[doc.Name]] = document{doc, r.GetReadTime().AsTime()}
				} else {
					delete(found, key[r.GetMissing()])
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// rangePage is the most documents asked for at once.
const rangePage = 300

// Range implements records.Store.
func (s *Store) Range(ctx context.Context, dir, after string, limit int) ([]records.Record, error) {
	var rs []records.Record
	for len(rs) < limit {
		page := min(limit-len(rs), rangePage)
		var docs []document
		err := s.read(ctx, "range", func(client *firestore.Client) (err error) {
			docs, err = s.page(ctx, client, dir, after, page)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range docs {
			after = strings.TrimPrefix(d.doc.Name[strings.LastIndexByte(d.doc.Name, '/')+1:], idSign)
			r, err := d.record(dir + "/" + after)
			if err != nil {
				return nil, err
			}
			if r.Version != 0 {
				rs = append(rs, r)
			}
		}
		if len(docs) < page {
			break
		}
	}
	return rs, nil
}

// page reads up to n documents of a directory, expired ones too.
func (s *Store) page(ctx context.Context, client *firestore.Client, dir, after string, n int) ([]document, error) {
	q := &firestorepb.StructuredQuery{
		From: []*firestorepb.StructuredQuery_CollectionSelector{{CollectionId: group}},
		OrderBy: []*firestorepb.StructuredQuery_Order{{
			Field:     &firestorepb.StructuredQuery_FieldReference{FieldPath: "__name__"},
			Direction: firestorepb.StructuredQuery_ASCENDING,
		}},
		Limit: wrapperspb.Int32(int32(n)),
	}
	if after != "" {
		from := &firestorepb.Value{ValueType: &firestorepb.Value_ReferenceValue{ReferenceValue: s.dirDocument(dir) + "/" + group + "/" + idSign + after}}
		q.StartAt = &firestorepb.Cursor{Values: []*firestorepb.Value{from}, Before: false}
	}
	stream, err := client.RunQuery(ctx, &firestorepb.RunQueryRequest{
		Parent: s.dirDocument(dir), QueryType: &firestorepb.RunQueryRequest_StructuredQuery{StructuredQuery: q},
	})
	if err != nil {
		return nil, err
	}
	var docs []document
	for {
		r, err := stream.Recv()
		if err == io.EOF {
			return docs, nil
		}
		if err != nil {
			return nil, err
		}
		if doc := r.GetDocument(); doc != nil {
			docs = append(docs, document{doc, r.GetReadTime().AsTime()})
		}
	}
}

// maxTries bounds how often a request is made that conflicted with another one
// or found its connection closed.
const maxTries = 12

// read makes a request that changes nothing until it is answered.
func (s *Store) read(ctx context.Context, op string, request func(*firestore.Client) error) error {
	client, err := s.client()
	if err != nil {
		return wrap(op, err)
	}
	unavailable := func(err error) bool {
		return slices.Contains([]codes.Code{codes.Aborted, codes.Unavailable, codes.Internal}, status.Code(err))
	}
	return wrap(op, retry.Do(ctx, maxTries, unavailable, func() error { return request(client) }))
}

// errConflict is returned for commits of the same records that conflict again
// and again.
var errConflict = &errcode.Error{Package: "gcp", Op: "commit", Code: codes.Aborted.String(), Pass: true}

func isConflict(err error) bool { return err == errConflict }

// Commit implements records.Store.
func (s *Store) Commit(ctx context.Context, rs ...records.Record) error {
	if err := records.ValidateCommit(rs); err != nil {
		return err
	}
	if len(rs) == 0 {
		return nil
	}
	client, err := s.client()
	if err != nil {
		return wrap("commit", err)
	}
	keys := make([]string, len(rs))
	for i, r := range rs {
		keys[i] = r.Key
	}
	// What is there is only read when it matters: when a record may have
	// expired since it was read, or something stands in the way.
	var found map[string]document
	if slices.ContainsFunc(rs, func(r records.Record) bool { return canExpire(r.Version) }) {
		if found, err = s.documents(ctx, keys); err != nil {
			return err
		}
	}
	token := 1 + rand.Int64N(1<<62)
	return wrap("commit", retry.Do(ctx, maxTries, isConflict, func() error {
		writes, ok := s.writes(rs, token, found)
		if !ok {
			return records.ErrStale
		}
		_, err := client.Commit(ctx, &firestorepb.CommitRequest{Database: s.database, Writes: writes})
		switch code := status.Code(err); code {
		case codes.OK:
			return nil
		case codes.AlreadyExists, codes.FailedPrecondition, codes.NotFound, codes.InvalidArgument:
			// The last is for a version that no record has had yet.
			var readErr error
			if found, readErr = s.documents(ctx, keys); readErr != nil {
				return readErr
			}
			if wroteItself(found, token) {
				return nil
			}
			if _, ok := s.writes(rs, token, found); !ok {
				return records.ErrStale
			}
			if code == codes.InvalidArgument {
				return err
			}
			return errConflict
		case codes.Aborted:
			return errConflict
		}
		return err
	}))
}

// wroteItself reports whether one of the documents was written by the same
// request: one whose response is lost is repeated, and then conflicts with itself.
func wroteItself(found map[string]document, token int64) bool {
	for _, d := range found {
		if d.doc.GetFields()[fieldToken].GetIntegerValue() == token {
			return true
		}
	}
	return false
}

// writes makes the writes of a commit. With what was found it decides itself,
// and ok is false where a record is not at its version; without, the
// conditions decide.
func (s *Store) writes(rs []records.Record, token int64, found map[string]document) (ws []*firestorepb.Write, ok bool) {
	for _, r := range rs {
		seen := r.Version
		if found != nil {
			there := found[r.Key]
			switch {
			case there.live() && there.version() != r.Version, !there.live() && r.Version != 0:
				return nil, false
			case there.doc != nil:
				seen = there.version() // also over one that has expired
			}
		}
		condition := &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_Exists{Exists: false}}
		if seen != 0 {
			condition = &firestorepb.Precondition{ConditionType: &firestorepb.Precondition_UpdateTime{UpdateTime: changedAt(seen)}}
		}
		w := &firestorepb.Write{CurrentDocument: condition}
		if name := s.name(r.Key); r.Value == nil {
			w.Operation = &firestorepb.Write_Delete{Delete: name}
		} else {
			w.Operation = &firestorepb.Write_Update{Update: &firestorepb.Document{Name: name, Fields: fields(r, token)}}
		}
		ws = append(ws, w)
	}
	return ws, true
}

// fields are those of a record. The token differs in each write: one that
// changes nothing would keep the time of the last change, and so the version.
func fields(r records.Record, token int64) map[string]*firestorepb.Value {
	fs := map[string]*firestorepb.Value{
		fieldValue: {ValueType: &firestorepb.Value_BytesValue{BytesValue: r.Value}},
		fieldToken: {ValueType: &firestorepb.Value_IntegerValue{IntegerValue: token}},
	}
	if !r.Expires.IsZero() {
		fs[fieldExpires] = &firestorepb.Value{ValueType: &firestorepb.Value_TimestampValue{TimestampValue: timestamppb.New(time.Unix(r.Expires.Unix(), 0))}}
	}
	return fs
}
