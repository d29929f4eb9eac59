package control

import "sync"

// cache keeps what was loaded from the database, up to a bound. Values are shared: who gets
// one must not change it.
type cache[K comparable, V any] struct {
	weigh func(V) int // nil: each value weighs 1
	bound int

	mu      sync.RWMutex // guards what follows
	entries map[K]V
	weight  int
	gen     uint64 // counts invalidations
}

func newCache[K comparable, V any](bound int, weigh func(V) int) *cache[K, V] {
	if weigh == nil {
		weigh = func(V) int { return 1 }
	}
	return &cache[K, V]{weigh: weigh, bound: bound, entries: map[K]V{}}
}

// get returns the value of k, loading it when it isn't there. A value that was loaded while
// something was invalidated may be out of date: it is returned but not kept.
func (c *cache[K, V]) get(k K, load func() (V, error)) (V, error) {
	c.mu.RLock()
	v, ok := c.entries[k]
	gen := c.gen
	c.mu.RUnlock()
	if ok {
		return v, nil
	}
	v, err := load()
	if err == nil {
		c.put(k, v, gen)
	}
	return v, err
}

// peek returns the value of k when it is there.
func (c *cache[K, V]) peek(k K) (V, bool) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	v, ok := c.entries[k]
	return v, ok
}

func (c *cache[K, V]) put(k K, v V, gen uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := c.weigh(v)
	if gen != c.gen || w > c.bound {
		return
	}
	c.removeLocked(k)
	for old := range c.entries { // in random order, which is as good as any here
		if c.weight+w <= c.bound {
			break
		}
		c.removeLocked(old)
	}
	c.entries[k] = v
	c.weight += w
}

func (c *cache[K, V]) removeLocked(k K) {
	if v, ok := c.entries[k]; ok {
		c.weight -= c.weigh(v)
		delete(c.entries, k)
	}
}

// drop invalidates k.
func (c *cache[K, V]) drop(k K) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	c.removeLocked(k)
}

// clear invalidates everything.
func (c *cache[K, V]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	clear(c.entries)
	c.weight = 0
}
