package gcp

import (
	"cmp"
	"errors"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/errcode"
)

// wrap makes the error of a service one that may be logged.
func wrap(op string, err error) error {
	if _, wrapped := errors.AsType[*errcode.Error](err); wrapped || err == nil || err == records.ErrStale {
		return err
	}
	code, pass := errcode.Context(err), false
	if s, ok := status.FromError(err); ok {
		code = s.Code().String()
		switch s.Code() { // the service is away, failed, or is busy
		case codes.Unavailable, codes.Internal, codes.ResourceExhausted, codes.Aborted, codes.DeadlineExceeded, codes.Canceled:
			pass = true
		default:
		}
	}
	return &errcode.Error{Package: "gcp", Op: op, Code: cmp.Or(code, "no-client"), Err: err, Pass: pass}
}
