package executor

import (
	"cmp"
	"sync"
	"time"

	"picloud/app/cloud"
)

// pool keeps warm contexts: per script, of its latest version only, and never more than the
// gate lets run or than fits into its share of memory. The least recently used go first, and
// all go when they were not used for a while, so that a resting instance is small.
type pool struct {
	most      int
	mostBytes int64

	mu      sync.Mutex // guards what follows
	shelves map[cloud.ScriptID]*shelf
	count   int
	bytes   int64
	sweep   *time.Timer // runs while anything is kept
	closed  bool
}

// shelf holds the idle contexts of one script, the latest last.
type shelf struct {
	key  scriptKey
	idle []warm
}

type warm struct {
	c     Context
	bytes int64
	since time.Time
}

// warmFor is how long a context is kept without use.
const warmFor = 60 * time.Second

func newPool(most int, mostBytes int64) *pool {
	return &pool{most: most, mostBytes: mostBytes, shelves: map[cloud.ScriptID]*shelf{}}
}

// take gives out a warm context of exactly this version, or nil.
func (p *pool) take(key scriptKey) Context {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[key.id]
	if s == nil || s.key != key || len(s.idle) == 0 {
		return nil
	}
	w := s.idle[len(s.idle)-1]
	s.idle = s.idle[:len(s.idle)-1]
	p.count--
	p.bytes -= w.bytes
	return w.c
}

// give takes a context back after a run. It is closed when it is spent, fresh was asked for,
// or a newer version of the script is in use.
func (p *pool) give(key scriptKey, c Context, fresh bool) {
	if fresh || c.Spent() {
		c.Close()
		return
	}
	w := warm{c, c.Memory(), time.Now()}
	for _, old := range p.put(key, w) {
		old.Close()
	}
}

// put shelves w and returns the contexts that have to go for it.
func (p *pool) put(key scriptKey, w warm) (gone []Context) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.shelves[key.id]
	switch {
	case p.closed, s != nil && newer(s.key, key):
		return []Context{w.c}
	case s == nil:
		s = &shelf{key: key}
		p.shelves[key.id] = s
	case s.key != key:
		gone = p.clearLocked(s, gone)
		s.key = key
	}
	s.idle = append(s.idle, w)
	p.count++
	p.bytes += w.bytes
	for p.count > p.most || p.bytes > p.mostBytes && p.count > 1 {
		gone = p.oldestLocked(gone)
	}
	if p.sweep == nil {
		p.sweep = time.AfterFunc(warmFor, p.tidy)
	}
	return gone
}

func newer(a, b scriptKey) bool {
	return cmp.Or(cmp.Compare(a.version, b.version), cmp.Compare(a.updated, b.updated), cmp.Compare(a.linkedAt, b.linkedAt)) > 0
}

func (p *pool) clearLocked(s *shelf, gone []Context) []Context {
	for _, w := range s.idle {
		gone = append(gone, w.c)
		p.bytes -= w.bytes
	}
	p.count -= len(s.idle)
	s.idle = nil
	return gone
}

// oldestLocked takes out the context that rested longest.
func (p *pool) oldestLocked(gone []Context) []Context {
	var from *shelf
	for _, s := range p.shelves {
		if len(s.idle) > 0 && (from == nil || s.idle[0].since.Before(from.idle[0].since)) {
			from = s
		}
	}
	return p.dropLocked(from, gone)
}

func (p *pool) dropLocked(s *shelf, gone []Context) []Context {
	w := s.idle[0]
	s.idle = append(s.idle[:0], s.idle[1:]...)
	p.count--
	p.bytes -= w.bytes
	return append(gone, w.c)
}

// tidy closes what was not used for a while, and comes again while anything is left.
func (p *pool) tidy() {
	gone, empty := p.stale(time.Now().Add(-warmFor))
	for _, c := range gone {
		c.Close()
	}
	if empty {
		drainArenas()
	}
}

func (p *pool) stale(before time.Time) (gone []Context, empty bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for id, s := range p.shelves {
		for len(s.idle) > 0 && !s.idle[0].since.After(before) {
			gone = p.dropLocked(s, gone)
		}
		if len(s.idle) == 0 {
			delete(p.shelves, id)
		}
	}
	if p.count == 0 {
		p.sweep = nil
		return gone, true
	}
	p.sweep = time.AfterFunc(warmFor/2, p.tidy)
	return gone, false
}

// forget closes the contexts of a script that is gone.
func (p *pool) forget(id cloud.ScriptID) {
	p.mu.Lock()
	var gone []Context
	if s := p.shelves[id]; s != nil {
		gone = p.clearLocked(s, nil)
		delete(p.shelves, id)
	}
	p.mu.Unlock()
	for _, c := range gone {
		c.Close()
	}
}

// close closes everything idle, and what comes back later.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	var gone []Context
	for _, s := range p.shelves {
		gone = p.clearLocked(s, gone)
	}
	clear(p.shelves)
	if p.sweep != nil {
		p.sweep.Stop()
		p.sweep = nil
	}
	p.mu.Unlock()
	for _, c := range gone {
		c.Close()
	}
	drainArenas()
}
