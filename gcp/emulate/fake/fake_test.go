package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	pubsub "cloud.google.com/go/pubsub/v2/apiv1"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/gcp"
	"github.com/serverurl/serverurl/internal/testing/gcptest"
)

// The store does on the stand-in what it does on Google's emulator.
func TestStoreOnStandin(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	firestorepb.RegisterFirestoreServer(server, newFirestore())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() { server.Stop(); <-ended })
	coretest.Store(t, coretest.Capabilities{RaceIterations: 20}, func(t *testing.T) records.Store {
		return gcptest.Store(t, l.Addr().String(), gcptest.Project())
	})
}

// A message is pushed until it is taken, and the process ends with its input.
func TestPush(t *testing.T) {
	var count atomic.Int64
	taken := make(chan string, 1)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if count.Add(1) < 3 {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		taken <- string(body)
	}))
	defer srv.Close()
	stdin, open := io.Pipe()
	said, stdout := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		ended <- run(pusher{project: "p", topic: "t", url: srv.URL, retry: time.Millisecond}, stdin, stdout)
	}()
	lines := bufio.NewScanner(said)
	host := ""
	for range 2 {
		lines.Scan()
		host, _ = strings.CutPrefix(lines.Text(), "pubsub ")
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	topics, err := pubsub.NewTopicAdminClient(context.Background(), option.WithGRPCConn(conn))
	if err != nil {
		t.Fatal(err)
	}
	in := gcp.NewInbox(topics, "projects/p/topics/t", coretest.NewMemoryStore())
	if err := in.Put(t.Context(), core.Envelope{ID: "id", Type: "hang", Body: []byte("{}")}); err != nil {
		t.Fatal(err)
	}
	select {
	case body := <-taken:
		if !strings.Contains(body, `"attributes":{"type":"hang"}`) || !strings.Contains(body, `"messageId":"`) {
			t.Error(body)
		}
	case <-time.After(5 * time.Minute):
		t.Fatal("nothing was pushed")
	}
	open.Close()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
