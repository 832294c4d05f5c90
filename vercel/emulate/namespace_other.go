//go:build !linux

package emulate

import (
	"context"
	"errors"
	"net"
	"os/exec"
)

// A namespace is a network of its own. Only Linux has them.
type namespace struct{}

var errNoNamespace = errors.New("emulate: Vercel's proxy is for Linux")

func canIsolate() bool                                  { return false }
func newNamespace([]string) (*namespace, error)         { return nil, errNoNamespace }
func (*namespace) start(*exec.Cmd, chan struct{}) error { return errNoNamespace }
func (*namespace) close()                               {}
func (*namespace) dial(context.Context, string, string) (net.Conn, error) {
	return nil, errNoNamespace
}
