// Package finalstate reads from a backend's store what package simulate compares
// with the end of a scenario. It is on its own because the simulator shares no code
// with the backend.
package finalstate

import (
	"context"
	"errors"

	"github.com/serverurl/serverurl/core/calls"
	"github.com/serverurl/serverurl/core/event"
	"github.com/serverurl/serverurl/core/records"
	"github.com/serverurl/serverurl/internal/callstate"
	"github.com/serverurl/serverurl/simulate"
)

// In returns the State of simulate.Options that reads from s. The simulator knows a
// call by the id that it sends; with named secrets the store has it as that of one
// of the tenants.
func In(s records.Store, tenants ...string) func(context.Context, string) (simulate.State, bool, error) {
	if len(tenants) == 0 {
		tenants = []string{""}
	}
	return func(ctx context.Context, id string) (simulate.State, bool, error) {
		for _, name := range tenants {
			c, err := calls.Read(ctx, s, callstate.ScopedID(name, event.CallID(id)))
			if errors.Is(err, calls.ErrNotFound) {
				continue
			}
			return simulate.State{Status: string(c.Status), Messages: len(c.Transcript), Ended: c.Ended, Report: c.Report != nil, Working: c.PendingHandlers > 0}, err == nil, err
		}
		return simulate.State{}, false, nil
	}
}
