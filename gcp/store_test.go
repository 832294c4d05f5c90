package gcp_test

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
)

func TestMain(m *testing.M) { gcptest.Main(m) }

// newStore returns a store in a database of its own on the emulator at host.
func newStore(t testing.TB, host string, o ...grpc.DialOption) *gcp.Store {
	return gcptest.Store(t, host, gcptest.Project(), o...)
}

// The store, on Google's emulator.
func TestStoreOnEmulator(t *testing.T) {
	host := gcptest.Firestore(t)
	coretest.Store(t, coretest.Capabilities{RaceIterations: 20}, func(t *testing.T) records.Store { return newStore(t, host) })
}

// A document may be as large as the core makes records, and a commit as full.
func TestLargestCommitOnEmulator(t *testing.T) {
	s := newStore(t, gcptest.Firestore(t))
	var rs []records.Record
	for n := range records.MaxCommitBytes / records.MaxRecordBytes {
		value := make([]byte, records.MaxRecordBytes)
		_, _ = rand.Read(value)
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: value})
	}
	for n := len(rs); n < records.MaxCommitRecords; n++ {
		rs = append(rs, records.Record{Key: fmt.Sprintf("large/%d", n), Value: []byte{}})
	}
	if err := s.Commit(t.Context(), rs...); err != nil {
		t.Fatal(err)
	}
	got, err := s.Range(t.Context(), "large", "", 100)
	if err != nil || len(got) != records.MaxCommitRecords {
		t.Fatalf("%d records, %v", len(got), err)
	}
}

// lossy loses the answer of every other commit.
type lossy struct {
	mu    sync.Mutex
	count int
}

func (l *lossy) intercept(ctx context.Context, method string, req, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, o ...grpc.CallOption) error {
	err := invoke(ctx, method, req, reply, conn, o...)
	if _, is := req.(*firestorepb.CommitRequest); !is || err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	return status.Error(codes.Unavailable, "connection lost")
}

// A commit whose answer was lost is sent again by the client, and then meets
// itself. That is not a conflict.
func TestLostAnswersOnEmulator(t *testing.T) {
	l := new(lossy)
	s := newStore(t, gcptest.Firestore(t), grpc.WithUnaryInterceptor(l.intercept))
	one := records.Record{Key: "d/one", Value: []byte("1")}
	for n := range 3 {
		if err := s.Commit(t.Context(), one); err != nil {
			t.Fatalf("round %d, one: %v", n, err)
		}
		rs, err := s.Get(t.Context(), "d/one", "d/two")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Commit(t.Context(), rs[0], records.Record{Key: "d/two", Value: []byte("2"), Version: rs[1].Version}); err != nil {
			t.Fatalf("round %d, both: %v", n, err)
		}
		if err := s.Commit(t.Context(), rs[0]); !errors.Is(err, records.ErrStale) {
			t.Fatalf("round %d, an old version: %v", n, err)
		}
		if rs, err = s.Get(t.Context(), "d/one"); err != nil {
			t.Fatal(err)
		}
		one = rs[0]
	}
	if l.count < 6 {
		t.Errorf("%d answers were lost", l.count)
	}
}
