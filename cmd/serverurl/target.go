package main

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/simulate"
)

// targetFlags say which server is meant.
type targetFlags struct {
	To     string `help:"The server URL's root." placeholder:"URL"`
	Secret string `help:"What the sender proves itself with." env:"SERVERURL_SECRET" placeholder:"SECRET"`
}

// check finds out whether a server is named at all.
func (f targetFlags) check() error {
	if f.To == "" {
		return usageError{errors.New("--to is needed, such as: --to http://127.0.0.1:8080")}
	}
	return nil
}

// stateOf reads for the simulator what the backend's store knows of a call.
func stateOf(s records.Store) func(context.Context, string) (simulate.State, bool, error) {
	return func(ctx context.Context, id string) (simulate.State, bool, error) {
		c, err := calls.Read(ctx, s, event.CallID(id))
		if errors.Is(err, callstate.ErrNotFound) {
			return simulate.State{}, false, nil
		}
		return simulate.State{Status: string(c.Status), Messages: len(c.Transcript), Ended: c.Ended, Report: c.Report != nil}, true, err
	}
}
