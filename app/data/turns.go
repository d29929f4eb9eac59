package data

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"sync"

	"picloud/app/cloud"
)

// item is what executions queue on: a key, or the keys of a collection with a prefix.
type item struct {
	app        cloud.AppID
	collection string
	key        string // or the prefix
	span       bool
}

func keyItem(app cloud.AppID, n name) item { return item{app, n.collection, n.key, false} }

// has reports whether n, of the item's app, is the item or within it. A span without a
// collection holds every key.
func (i item) has(n name) bool {
	if i.span && i.collection == "" {
		return true
	}
	return i.collection == n.collection && (i.key == n.key || i.span && strings.HasPrefix(n.key, i.key))
}

// itemSet collects what an execution conflicted on.
type itemSet map[item]struct{}

func (s itemSet) add(i item) { s[i] = struct{}{} }

// addReads adds the reads of n: by itself, and within spans.
func (s itemSet) addReads(app cloud.AppID, n name, r *reads) {
	if _, ok := r.keys[n]; ok {
		s.add(keyItem(app, n))
	}
	s.addSpans(app, n, r)
}

func (s itemSet) addSpans(app cloud.AppID, n name, r *reads) {
	for _, sp := range r.spans {
		if sp.has(n) {
			s.add(item{app, sp.collection, sp.prefix, true})
		}
	}
}

func (s itemSet) list() []item { return slices.Collect(maps.Keys(s)) }

// turns lets executions that conflicted run again one at a time on each item, the one that
// first conflicted first. A queue is there only while somebody waits in it or holds it.
type turns struct {
	mu     sync.Mutex // guards all below, and the fields of turn and queue
	ticket uint64     // of the last execution that asked
	of     map[cloud.ExecutionID]*turn
	queues map[item]*queue
	spans  map[item]*queue // those of queues whose item is a span
}

// turn is an execution's place in the queues of all items it ever conflicted on. It keeps
// its ticket when it conflicts again.
type turn struct {
	exec    cloud.ExecutionID
	ticket  uint64
	items   itemSet
	asked   int           // calls of wait; the release of an earlier one does nothing
	granted chan struct{} // closed when it holds all its items
	holds   bool
}

type queue struct {
	holder  *turn
	waiting []*turn // by ticket
}

func newTurns() *turns {
	return &turns{
		of:     map[cloud.ExecutionID]*turn{},
		queues: map[item]*queue{},
		spans:  map[item]*queue{},
	}
}

// wait adds items to those of exec, gives up what it holds, and waits until it heads the
// queues of all its items and nobody holds one. As all queues are in the order of tickets,
// the oldest of those who wait heads all its queues: there is no deadlock.
func (t *turns) wait(ctx context.Context, exec cloud.ExecutionID, items []item) (release func(), err error) {
	tn, asked := t.enter(exec, items)
	release = func() { t.release(tn, asked) }
	select {
	case <-tn.granted:
		return release, nil
	case <-ctx.Done():
		release()
		return nil, fmt.Errorf("wait for a turn on what others change: %w", ctx.Err())
	}
}

func (t *turns) enter(exec cloud.ExecutionID, items []item) (*turn, int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tn := t.of[exec]
	if tn == nil {
		t.ticket++
		tn = &turn{exec: exec, ticket: t.ticket, items: itemSet{}}
		t.of[exec] = tn
	}
	t.leaveLocked(tn)
	for _, i := range items {
		tn.items.add(i)
	}
	tn.asked++
	tn.granted = make(chan struct{})
	for i := range tn.items {
		t.queueLocked(i).push(tn)
	}
	t.grantLocked(tn)
	t.promoteLocked(tn.items)
	return tn, tn.asked
}

// release ends the turn, unless its execution has asked again since.
func (t *turns) release(tn *turn, asked int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if tn.asked != asked || t.of[tn.exec] != tn {
		return
	}
	delete(t.of, tn.exec)
	t.leaveLocked(tn)
	t.promoteLocked(tn.items)
}

func (t *turns) queueLocked(i item) *queue {
	q := t.queues[i]
	if q == nil {
		q = &queue{}
		t.queues[i] = q
		if i.span {
			t.spans[i] = q
		}
	}
	return q
}

// leaveLocked takes tn out of all queues; who follows is promoted by the caller.
func (t *turns) leaveLocked(tn *turn) {
	tn.holds = false
	for i := range tn.items {
		q := t.queues[i]
		if q == nil {
			continue // tn has not queued yet
		}
		q.remove(tn)
		if q.holder == nil && len(q.waiting) == 0 {
			delete(t.queues, i)
			delete(t.spans, i)
		}
	}
}

// promoteLocked grants their turn to those who head the queues of items, if they can have it.
func (t *turns) promoteLocked(items itemSet) {
	for i := range items {
		if q := t.queues[i]; q != nil && q.holder == nil && len(q.waiting) > 0 {
			t.grantLocked(q.waiting[0])
		}
	}
}

func (t *turns) grantLocked(tn *turn) {
	for i := range tn.items {
		if q := t.queues[i]; q.holder != nil || q.waiting[0] != tn {
			return
		}
	}
	for i := range tn.items {
		q := t.queues[i]
		q.waiting = slices.Delete(q.waiting, 0, 1)
		q.holder = tn
	}
	tn.holds = true
	close(tn.granted)
}

func (q *queue) push(tn *turn) {
	at, _ := slices.BinarySearchFunc(q.waiting, tn.ticket, func(w *turn, ticket uint64) int { return cmp.Compare(w.ticket, ticket) })
	q.waiting = slices.Insert(q.waiting, at, tn)
}

func (q *queue) remove(tn *turn) {
	if q.holder == tn {
		q.holder = nil
	}
	if at := slices.Index(q.waiting, tn); at >= 0 {
		q.waiting = slices.Delete(q.waiting, at, at+1)
	}
}

// ahead lists the items held by executions that exec must let go first: those that asked
// before it did and hold one of names, which exec has read and wants to write.
func (t *turns) ahead(exec cloud.ExecutionID, app cloud.AppID, names []name) []item {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queues) == 0 {
		return nil
	}
	ticket := uint64(math.MaxUint64)
	if tn := t.of[exec]; tn != nil {
		ticket = tn.ticket
	}
	held := func(q *queue) bool { return q != nil && q.holder != nil && q.holder.ticket < ticket }
	found := itemSet{}
	for _, n := range names {
		if i := keyItem(app, n); held(t.queues[i]) {
			found.add(i)
		}
		for i, q := range t.spans {
			if i.app == app && i.has(n) && held(q) {
				found.add(i)
			}
		}
	}
	return found.list()
}

// contended is the error of an execution that must run again; see outbox.Contended.
type contended struct {
	turns *turns
	exec  cloud.ExecutionID
	items []item
}

var errConflict = cloud.Errorf(cloud.Conflict,
	"another execution changed what this one had read, and it could not be run again: try it once more")

func (c *contended) Error() string { return "what was read has changed since" }

// Unwrap says what the failure is when nobody runs the execution again.
func (c *contended) Unwrap() error { return errConflict }

func (c *contended) Turn(ctx context.Context) (release func(), err error) {
	return c.turns.wait(ctx, c.exec, c.items)
}
