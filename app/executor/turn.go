package executor

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// turns leave one processor clear for short executions, while such come: those that compute
// for long take turns on the others. The system's priorities alone don't do that: Linux lets
// a thread of low priority end its tick of up to 4 ms before one that wakes up gets its
// processor, and a request wakes several threads up, one after the other.
//
// A turn ends by the clock, also that of an execution in a native that doesn't poll, or in a
// host call that waits: so nobody waits for them.
type turns struct {
	room  int          // processors for those that compute for long
	long  atomic.Int32 // executions that do
	short atomic.Int64 // when one ended that didn't, beside one that did: since quickStart

	mu      sync.Mutex // guards what follows
	holding []*turn    // in order of their ends
	line    []*turn    // that wait
	next    *time.Timer
}

// turn is one execution's, from when it has computed for long.
type turn struct {
	of      *turns
	until   time.Time
	granted chan struct{} // capacity 1
}

const (
	// turnTime is how long a turn is: a small part of what a person notices.
	turnTime = 10 * time.Millisecond
	// turnsPressed is how long after a short execution the next one is expected.
	turnsPressed = time.Second
)

// newTurns shares processors, but one, among those that compute; the only one there is.
func newTurns(processors int) *turns { return &turns{room: max(processors-1, 1)} }

// pass notes that a short execution ended.
func (t *turns) pass() {
	if t.long.Load() > 0 {
		t.short.Store(sinceStart(time.Now()))
	}
}

func (t *turns) pressed(now time.Time) bool {
	at := t.short.Load()
	return at != 0 && time.Duration(sinceStart(now)-at) < turnsPressed
}

// begin is for an execution that has computed for long; end must follow.
func (t *turns) begin() *turn {
	t.long.Add(1)
	return &turn{of: t, granted: make(chan struct{}, 1)}
}

// wait returns when it is w's turn, at once while that lasts; or when done is closed.
func (w *turn) wait(done <-chan struct{}) {
	now := time.Now()
	if now.Before(w.until) {
		return
	}
	t := w.of
	t.mu.Lock()
	t.line = append(t.line, w)
	t.grantLocked(now)
	t.mu.Unlock()
	select {
	case <-w.granted:
	case <-done:
		t.mu.Lock()
		defer t.mu.Unlock()
		t.line = without(t.line, w)
		select {
		case <-w.granted: // at the same moment
		default:
		}
	}
}

// extend gives w a turn at once if nobody has to wait for that, and reports whether it has one.
func (w *turn) extend() bool {
	now := time.Now()
	if now.Before(w.until) {
		return true
	}
	t := w.of
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grantLocked(now)
	if !t.freeLocked(now) { // so while anybody waits
		return false
	}
	t.holdLocked(w, now)
	return true
}

func (w *turn) end() {
	t := w.of
	t.long.Add(-1)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.holding = without(t.holding, w)
	t.grantLocked(time.Now())
}

func without(list []*turn, w *turn) []*turn {
	return slices.DeleteFunc(list, func(other *turn) bool { return other == w })
}

// grantLocked gives turns to those that wait, in order.
func (t *turns) grantLocked(now time.Time) {
	t.holding = slices.DeleteFunc(t.holding, func(w *turn) bool { return !now.Before(w.until) })
	for len(t.line) > 0 && t.freeLocked(now) {
		w := t.line[0]
		t.line = slices.Delete(t.line, 0, 1)
		t.holdLocked(w, now)
		w.granted <- struct{}{}
	}
	if len(t.line) == 0 {
		return
	}
	wait := t.holding[0].until.Sub(now)
	if t.next == nil {
		t.next = time.AfterFunc(wait, t.grant)
	} else {
		t.next.Reset(wait)
	}
}

// freeLocked reports whether one more may have a turn now.
func (t *turns) freeLocked(now time.Time) bool {
	return len(t.holding) < t.room || !t.pressed(now)
}

func (t *turns) holdLocked(w *turn, now time.Time) {
	w.until = now.Add(turnTime)
	t.holding = append(t.holding, w)
}

func (t *turns) grant() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.grantLocked(time.Now())
}
