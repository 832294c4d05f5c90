package interactly

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"strings"
	"time"
)

// FromEnv returns a client as the environment configures it, and the
// assistants whose calls are ours:
//
//	INTERACTLY_API_KEY     the key; without it the client is nil, which is no error
//	INTERACTLY_API_URL     the API's root, where it is not DefaultURL
//	INTERACTLY_ASSISTANTS  ids with commas between them, or *
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

// Get is [Client.Call] for those who read the object themselves: it is nil
// where there is no such call.
func (c *Client) Get(ctx context.Context, id string) ([]byte, error) {
	call, err := c.Call(ctx, id)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	return call.Raw, err
}

// List is [Client.Calls] for those who read the objects themselves.
func (c *Client) List(ctx context.Context, from, to time.Time) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for call, err := range c.Calls(ctx, from, to) {
			if !yield(call.Raw, err) {
				return
			}
		}
	}
}
