package coretest_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

// A MemoryStore stands in for a database: the second create of a key is stale,
// and a hook makes the store fail.
func ExampleMemoryStore() {
	ctx := context.Background()
	s := coretest.NewMemoryStore()

	fmt.Println(s.Commit(ctx, records.Record{Key: "call/c1", Value: []byte("ringing")}))
	fmt.Println(s.Commit(ctx, records.Record{Key: "call/c1", Value: []byte("again")})) // created a second time

	rs, _ := s.Get(ctx, "call/c1")
	fmt.Printf("%s\n", rs[0].Value)

	s.Fail = func(op string, keys []string) error { return errors.New("the database is down") }
	_, err := s.Get(ctx, "call/c1")
	fmt.Println(err)
	// Output:
	// <nil>
	// records: record has changed
	// ringing
	// the database is down
}
