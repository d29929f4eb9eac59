package outbox

import (
	"sync"

	"picloud/app/cloud"
	"picloud/db"
)

// triggerCache keeps the enabled triggers of each app that emits, so that a write whose app
// has no triggers pays one look into a map.
//
// It must say what the emitting transaction would read, and closures of one group commit see
// each other's changes before they are committed. So a change marks its app with the batch
// it is in: for the rest of that batch the app's triggers are read from the transaction and
// not kept. What is read is kept only once its transaction has committed. A trigger that
// went by a cascade is found by insertRowOfTrigger.
type triggerCache struct {
	mu    sync.Mutex // guards what follows
	sets  map[cloud.AppID]triggerSet
	dirty map[cloud.AppID]uint64 // the batch that changed the app's triggers last
}

// triggerSet is the enabled triggers of one app by the source of their events.
type triggerSet map[string][]*enabled

type enabled struct {
	cloud.Trigger
	kind *kind
}

// maxSets bounds the cache; beyond it, it starts over.
const maxSets = 4096

func (c *triggerCache) init() {
	c.sets = map[cloud.AppID]triggerSet{}
	c.dirty = map[cloud.AppID]uint64{}
}

// of lists an app's enabled triggers for events of a source, as tx sees them.
func (c *triggerCache) of(tx *db.Tx, app cloud.AppID, source string) ([]*enabled, error) {
	batch := tx.Batch()
	c.mu.Lock()
	set, cached := c.sets[app]
	changed, dirty := c.dirty[app]
	if dirty && changed != batch { // committed or rolled back since
		delete(c.dirty, app)
		dirty = false
	}
	c.mu.Unlock()
	if cached {
		return set[source], nil
	}
	set, err := loadSet(tx.Rx, app)
	if err != nil {
		return nil, err
	}
	if !dirty {
		tx.AfterCommit(func() { c.keep(app, set, batch) })
	}
	return set[source], nil
}

// keep caches what batch has read, unless it was changed later in that batch.
func (c *triggerCache) keep(app cloud.AppID, set triggerSet, batch uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirty[app] == batch {
		return
	}
	if len(c.sets) >= maxSets {
		clear(c.sets)
	}
	c.sets[app] = set
}

// changed says that tx has changed the app's triggers.
func (c *triggerCache) changed(tx *db.Tx, app cloud.AppID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sets, app)
	c.dirty[app] = tx.Batch()
}

func (c *triggerCache) drop(app cloud.AppID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.sets, app)
}

func loadSet(rx *db.Rx, app cloud.AppID) (triggerSet, error) {
	found, err := selectTriggers(rx, `WHERE app_id = ? AND enabled = 1 ORDER BY id`, app)
	if err != nil {
		return nil, err
	}
	set := triggerSet{}
	for _, t := range found {
		set[t.Kind] = append(set[t.Kind], &enabled{*t, kindOf(t.Kind)})
	}
	return set, nil
}
