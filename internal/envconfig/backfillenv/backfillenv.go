// Package backfillenv configures how missed events are recovered from
// Interactly's API. It is apart from envconfig because it has an HTTP client,
// which a Worker has no space for. It makes no request.
//
//	backfill, err := backfillenv.Read(env)
package backfillenv

import (
	"github.com/serverurl/serverurl/core"
	"github.com/serverurl/serverurl/interactly"
	"github.com/serverurl/serverurl/internal/envconfig"
)

// Read returns what the environment says. Without a key nothing is recovered.
func Read(env envconfig.Env) (core.Backfill, error) {
	client, assistants, err := interactly.FromEnv(env.Get)
	if client == nil || err != nil { // a nil client is not a nil interface
		return core.Backfill{}, err
	}
	return core.Backfill{API: client, Assistants: assistants}, nil
}
