package retry_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/serverurl/serverurl/internal/retry"
)

func TestDo(t *testing.T) {
	conflict, other := errors.New("conflict"), errors.New("other")
	isConflict := func(err error) bool { return errors.Is(err, conflict) }
	for name, c := range map[string]struct {
		answers []error // the last one again and again
		tries   uint
		want    error
		calls   int
	}{
		"well":              {[]error{nil}, 5, nil, 1},
		"after conflicts":   {[]error{conflict, conflict, nil}, 5, nil, 3},
		"other":             {[]error{conflict, other}, 5, other, 2},
		"other at the end":  {[]error{conflict, other}, 2, other, 2},
		"too many":          {[]error{conflict}, 5, conflict, 5},
		"until ctx ends":    {[]error{conflict}, 0, context.DeadlineExceeded, -1},
		"the last succeeds": {[]error{conflict, nil}, 2, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				calls := 0
				err := retry.Do(ctx, c.tries, isConflict, func() error {
					calls++
					return c.answers[min(calls, len(c.answers))-1]
				})
				if err != c.want || c.calls > 0 && calls != c.calls || c.calls < 0 && calls < 300 {
					t.Errorf("%v after %d calls; want %v after %d", err, calls, c.want, c.calls)
				}
			})
		})
	}
}
