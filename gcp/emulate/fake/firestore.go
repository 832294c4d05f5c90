package main

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// maxDocument is Firestore's cap of a document: 1 MiB.
const maxDocument = 1 << 20

// firestore is as much of Firestore as package gcp uses: documents read by
// name, a page of a collection in order of names, and commits on conditions.
type firestore struct {
	firestorepb.UnimplementedFirestoreServer

	mu   sync.Mutex
	docs map[string]*firestorepb.Document // by name; never changed, only replaced
	last time.Time
}

func newFirestore() *firestore { return &firestore{docs: map[string]*firestorepb.Document{}} }

// now is later than it was before, in the microseconds that Firestore counts in.
func (f *firestore) now() time.Time {
	now := time.Now().Truncate(time.Microsecond)
	if !now.After(f.last) {
		now = f.last.Add(time.Microsecond)
	}
	f.last = now
	return now
}

func (f *firestore) BatchGetDocuments(r *firestorepb.BatchGetDocumentsRequest, stream firestorepb.Firestore_BatchGetDocumentsServer) error {
	f.mu.Lock()
	at := timestamppb.New(f.now())
	answers := make([]*firestorepb.BatchGetDocumentsResponse, len(r.Documents))
	for i, name := range r.Documents {
		answers[i] = &firestorepb.BatchGetDocumentsResponse{ReadTime: at}
		if doc := f.docs[name]; doc != nil {
			answers[i].Result = &firestorepb.BatchGetDocumentsResponse_Found{Found: doc}
		} else {
			answers[i].Result = &firestorepb.BatchGetDocumentsResponse_Missing{Missing: name}
		}
	}
	f.mu.Unlock()
	for _, a := range answers {
		if err := stream.Send(a); err != nil {
			return err
		}
	}
	return nil
}

func (f *firestore) RunQuery(r *firestorepb.RunQueryRequest, stream firestorepb.Firestore_RunQueryServer) error {
	q := r.GetStructuredQuery()
	if len(q.GetFrom()) != 1 || len(q.GetOrderBy()) != 1 || q.GetOrderBy()[0].GetField().GetFieldPath() != "__name__" || q.GetWhere() != nil {
		return status.Error(codes.Unimplemented, "fake: only a collection in order of names")
	}
	dir, after := r.Parent+"/"+q.From[0].CollectionId+"/", ""
	if v := q.GetStartAt().GetValues(); len(v) == 1 && !q.StartAt.Before {
		after = v[0].GetReferenceValue()
	}
	f.mu.Lock()
	at := timestamppb.New(f.now())
	var names []string
	for name := range f.docs {
		if id, ok := strings.CutPrefix(name, dir); ok && !strings.Contains(id, "/") && name > after {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	if n := q.GetLimit(); n != nil {
		names = names[:min(len(names), int(n.Value))]
	}
	docs := make([]*firestorepb.Document, len(names))
	for i, name := range names {
		docs[i] = f.docs[name]
	}
	f.mu.Unlock()
	for _, doc := range docs {
		if err := stream.Send(&firestorepb.RunQueryResponse{Document: doc, ReadTime: at}); err != nil {
			return err
		}
	}
	return nil
}

func (f *firestore) Commit(_ context.Context, r *firestorepb.CommitRequest) (*firestorepb.CommitResponse, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range r.Writes {
		if err := f.check(w); err != nil {
			return nil, err
		}
	}
	at := timestamppb.New(f.now())
	out := &firestorepb.CommitResponse{CommitTime: at}
	for _, w := range r.Writes {
		result := &firestorepb.WriteResult{}
		if doc := w.GetUpdate(); doc != nil {
			result.UpdateTime = f.write(doc, at)
		} else {
			delete(f.docs, w.GetDelete())
		}
		out.WriteResults = append(out.WriteResults, result)
	}
	return out, nil
}

// check reports whether a write may be done.
func (f *firestore) check(w *firestorepb.Write) error {
	name := w.GetDelete()
	if doc := w.GetUpdate(); doc != nil {
		name = doc.Name
		if proto.Size(doc) > maxDocument {
			return status.Error(codes.InvalidArgument, "fake: document is too large")
		}
	}
	if name == "" || w.GetUpdateMask() != nil || len(w.GetUpdateTransforms()) > 0 {
		return status.Error(codes.Unimplemented, "fake: only whole documents")
	}
	there := f.docs[name]
	switch c := w.GetCurrentDocument().GetConditionType().(type) {
	case *firestorepb.Precondition_Exists:
		if c.Exists && there == nil {
			return status.Error(codes.NotFound, "fake: no document")
		}
		if !c.Exists && there != nil {
			return status.Error(codes.AlreadyExists, "fake: there is a document")
		}
	case *firestorepb.Precondition_UpdateTime:
		if there == nil || !there.UpdateTime.AsTime().Equal(c.UpdateTime.AsTime()) {
			return status.Error(codes.FailedPrecondition, "fake: document has changed")
		}
	}
	return nil
}

// write replaces a document. One that stays as it is keeps its time, as
// Firestore has it.
func (f *firestore) write(doc *firestorepb.Document, at *timestamppb.Timestamp) *timestamppb.Timestamp {
	there := f.docs[doc.Name]
	if there != nil && proto.Equal(&firestorepb.Document{Fields: there.Fields}, &firestorepb.Document{Fields: doc.Fields}) {
		return there.UpdateTime
	}
	created := at
	if there != nil {
		created = there.CreateTime
	}
	f.docs[doc.Name] = &firestorepb.Document{Name: doc.Name, Fields: doc.Fields, CreateTime: created, UpdateTime: at}
	return at
}
