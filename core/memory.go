package core

import (
	"sync"
	"time"

	"github.com/serverurl/serverurl/core/event"
)

// usedIDs remembers the tool-call ids that came with requests which leave no
// record, so that they are not taken for those of a later one: models number the
// calls of each message anew (call_0). It is of this instance only.
type usedIDs struct {
	mu  sync.Mutex
	ids map[usedID]bool
}

type usedID struct {
	call event.CallID
	id   string
}

// maxUsedIDs bounds what is remembered.
const maxUsedIDs = 8192

func (u *usedIDs) note(call event.CallID, id string) {
	if call == "" || !validID(id) {
		return
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.ids == nil || len(u.ids) >= maxUsedIDs {
		u.ids = map[usedID]bool{}
	}
	u.ids[usedID{call, id}] = true
}

func (u *usedIDs) has(call event.CallID, id string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.ids[usedID{call, id}]
}

// lastEffect remembers when a side effect in a known call of a tenant ended last,
// on this instance. A caller whose requests name the call only in part may have
// caused it.
type lastEffect struct {
	mu sync.Mutex
	at map[string]time.Time
}

func (e *lastEffect) note(tenant string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.at == nil {
		e.at = map[string]time.Time{}
	}
	e.at[tenant] = time.Now()
}

// within reports whether there was one in the time given.
func (e *lastEffect) within(tenant string, age time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	at, ok := e.at[tenant]
	return ok && time.Since(at) <= age
}
