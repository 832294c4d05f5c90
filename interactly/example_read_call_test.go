package interactly_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"

	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/simulate"
)

// A client reads a call from the API, here the simulator's.
func ExampleClient_Call() {
	api := simulate.NewAPI("key") // instead of Interactly
	api.AddCall(map[string]any{"id": "CA1", "status": "finished", "startAt": "2026-07-14T16:02:11.854Z"})
	srv := httptest.NewServer(api)
	defer srv.Close()

	c, err := interactly.New("key", &interactly.Options{URL: srv.URL})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	call, err := c.Call(context.Background(), "CA1")
	fmt.Println(call.Status, call.StartAt, err)
	_, err = c.Call(context.Background(), "CA2")
	fmt.Println(errors.Is(err, interactly.ErrNotFound))
	// Output:
	// finished 2026-07-14 16:02:11.854 +0000 UTC <nil>
	// true
}
