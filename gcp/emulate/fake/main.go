// Command fake replaces Firestore and Pub/Sub where Google's emulators
// are not: `serverurl emulate gcp` starts it. Firestore is as much of it as
// package gcp uses; Pub/Sub is the fake of Google's own client, with its
// own push. Both are in memory and forget everything when they end.
//
//	fake -project serverurl-emulated -topic serverurl-events -push http://127.0.0.1:PORT
//
// prints "firestore HOST:PORT" and "pubsub HOST:PORT", on loopback, and ends
// when its standard input does.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"cloud.google.com/go/pubsub/v2/pstest"
	"google.golang.org/grpc"
)

func main() {
	var p pusher
	flag.StringVar(&p.project, "project", "serverurl-emulated", "the project")
	flag.StringVar(&p.topic, "topic", "serverurl-events", "the topic")
	flag.StringVar(&p.url, "push", "", "where messages are pushed to")
	flag.DurationVar(&p.retry, "retry", time.Second, "when a message that failed comes again")
	flag.Parse()
	if err := run(p, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(p pusher, stdin io.Reader, stdout io.Writer) error {
	ctx, stop := context.WithCancel(context.Background())
	go func() { // the parent has ended, or asks this program to end
		_, _ = io.Copy(io.Discard, stdin)
		stop()
	}()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("fake: %w", err)
	}
	server := grpc.NewServer(grpc.MaxRecvMsgSize(16 << 20))
	firestorepb.RegisterFirestoreServer(server, newFirestore())
	go func() { _ = server.Serve(l) }() // ends with Stop
	defer server.Stop()
	messages := pstest.NewServer()
	defer messages.Close()
	if err := p.open(ctx, messages.Addr); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "firestore %s\npubsub %s\n", l.Addr(), messages.Addr)
	p.run(ctx)
	return nil
}
