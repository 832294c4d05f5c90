package interactly

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"
)

// FromEnv returns the client that the environment configures, and the ids of the
// assistants whose calls belong to this backend:
//
//	INTERACTLY_API_KEY     the key; without it the client is nil, without an error
//	INTERACTLY_API_URL     the root of the API; default DefaultURL
//	INTERACTLY_ASSISTANTS  comma-separated ids, or *
func FromEnv(getenv func(string) string) (*Client, []string, error) {
	key := getenv("INTERACTLY_API_KEY")
	if key == "" {
		return nil, nil, nil
	}
	c, err := New(key, &Options{URL: cmp.Or(getenv("INTERACTLY_API_URL"), DefaultURL)})
	var ids []string
	for id := range strings.SplitSeq(getenv("INTERACTLY_ASSISTANTS"), ",") {
		if id = strings.TrimSpace(id); id != "" {
			ids = append(ids, id)
		}
	}
	return c, ids, err
}

// Get returns the JSON object of a call, or nil if there is no such call.
func (c *Client) Get(ctx context.Context, id string) ([]byte, error) {
	call, err := c.Call(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return call.Raw, err
}

// List yields the JSON objects of [Client.Calls].
func (c *Client) List(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for call, err := range c.Calls(ctx, from, to) {
			if !yield(call.Raw, err) {
				return
			}
		}
	}
}
