package executor

import (
	"container/list"
	"context"
	"sync"

	"picloud/app/cloud"
)

// scriptKey names one state of a script: a save makes a new one.
type scriptKey struct {
	id      cloud.ScriptID
	version int
	updated cloud.Time // limits and isolation may change without a new version

	// Of the modules that it imports: their versions, and when the latest was saved. Contexts go
	// by these, too; what is compiled is one file each.
	linked   uint64
	linkedAt cloud.Time
}

func keyOf(s *cloud.Script) scriptKey {
	k := fileKey(s)
	if s.Linked != nil {
		k.linked, k.linkedAt = s.Linked.Key, s.Linked.At
	}
	return k
}

// fileKey is the key of a script's own source.
func fileKey(s *cloud.Script) scriptKey {
	return scriptKey{id: s.ID, version: s.Version, updated: s.UpdatedAt}
}

// Bounds of the compile cache.
const (
	maxPrograms     = 512
	maxProgramBytes = 64 << 20
)

// programs is the compile cache: each version is compiled once, also when many ask at the
// same moment, and the least recently used ones go first.
type programs struct {
	mu    sync.Mutex // guards all below, and an entry's fields until ready is closed
	byKey map[scriptKey]*list.Element
	used  *list.List // of *programEntry, the latest in front
	bytes int
}

type programEntry struct {
	key   scriptKey
	ready chan struct{}
	p     Program
	err   error
	bytes int
}

func newPrograms() *programs {
	return &programs{byKey: map[scriptKey]*list.Element{}, used: list.New()}
}

// get answers the program of key, compiling it when nobody has.
func (c *programs) get(ctx context.Context, key scriptKey, compile func() (Program, error)) (Program, error) {
	c.mu.Lock()
	if e, ok := c.byKey[key]; ok {
		c.used.MoveToFront(e)
		c.mu.Unlock()
		entry := e.Value.(*programEntry)
		select {
		case <-entry.ready:
			return entry.p, entry.err
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	entry := &programEntry{key: key, ready: make(chan struct{})}
	c.byKey[key] = c.used.PushFront(entry)
	c.mu.Unlock()

	entry.p, entry.err = compile()
	if entry.p != nil {
		entry.bytes = entry.p.Bytes()
	}
	close(entry.ready)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.byKey[key]; ok {
		c.bytes += entry.bytes
	}
	if entry.err != nil && cloud.KindOf(entry.err) != cloud.Invalid {
		c.removeLocked(key) // a passing trouble
	}
	c.trimLocked()
	return entry.p, entry.err
}

func (c *programs) trimLocked() {
	for c.used.Len() > maxPrograms || c.bytes > maxProgramBytes && c.used.Len() > 1 {
		c.removeLocked(c.used.Back().Value.(*programEntry).key)
	}
}

func (c *programs) removeLocked(key scriptKey) {
	e, ok := c.byKey[key]
	if !ok {
		return
	}
	select {
	case <-e.Value.(*programEntry).ready:
		c.bytes -= e.Value.(*programEntry).bytes
	default: // still compiling: not counted yet
	}
	delete(c.byKey, key)
	c.used.Remove(e)
}

// forget drops all versions of a script.
func (c *programs) forget(id cloud.ScriptID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key := range c.byKey {
		if key.id == id {
			c.removeLocked(key)
		}
	}
}
