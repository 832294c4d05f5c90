package errcode_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"
	"testing"

	"github.com/serverurl/serverurl/internal/errcode"
)

const said = "Sam Rivera +14155550142"

type driverError struct{}

func (driverError) Error() string    { return said }
func (driverError) SQLState() string { return "40001" }

type talkative struct{}

func (talkative) Error() string     { return said }
func (talkative) ErrorCode() string { return said }

func TestOf(t *testing.T) {
	constant := errors.New("records: stale")
	service := &errcode.Error{Package: "aws", Op: "commit", Code: "ThrottlingException", Err: errors.New(said)}
	for want, err := range map[string]error{
		"records: stale":             fmt.Errorf("%s: %w", said, constant),
		"context deadline exceeded":  &errcode.Error{Op: "get", Code: errcode.Context(context.DeadlineExceeded), Err: context.DeadlineExceeded},
		"context canceled":           fmt.Errorf("%s: %w", said, context.Canceled),
		"no space left on device":    &fs.PathError{Op: "write", Path: said, Err: syscall.ENOSPC},
		"SQLSTATE-40001":             errors.Join(driverError{}, errors.New(said)),
		"commit.ThrottlingException": fmt.Errorf("%s: %w", said, service),
		"errcode_test.talkative":     fmt.Errorf("%s: %w", said, talkative{}),
		"*errors.errorString":        errors.Join(errors.New(said)),
	} {
		if got := errcode.Of(err, constant); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := service.Error(); got != "aws: commit: ThrottlingException" || errors.Unwrap(service).Error() != said {
		t.Error(got)
	}
	if c := errcode.Context(context.Canceled) + errcode.Context(constant); c != "canceled" {
		t.Error(c)
	}
}
