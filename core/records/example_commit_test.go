package records_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/serverurl/serverurl/core/coretest"
	"github.com/serverurl/serverurl/core/records"
)

// Change a record by reading it, deciding, and committing on condition that
// nobody changed it in between.
func ExampleStore() {
	ctx := context.Background()
	var store records.Store = coretest.NewMemoryStore()

	take := func(slot, patient string) error {
		rs, err := store.Get(ctx, "slots/"+slot)
		if err != nil {
			return err
		}
		if rs[0].Version != 0 {
			return errors.New("taken")
		}
		return store.Commit(ctx, records.Record{Key: rs[0].Key, Value: []byte(patient)})
	}
	fmt.Println(take("2035-07-16 09:00", "p-17"))
	fmt.Println(take("2035-07-16 09:00", "p-18"))

	// A writer that has read before the first commit fails, and decides again.
	err := store.Commit(ctx, records.Record{Key: "slots/2035-07-16 09:00", Value: []byte("p-19")})
	fmt.Println(errors.Is(err, records.ErrStale))
	// Output:
	// <nil>
	// taken
	// true
}
