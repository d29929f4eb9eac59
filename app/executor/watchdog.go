package executor

import (
	"runtime"
	"sync/atomic"
	"time"
)

// The watchdog ends what doesn't end by itself: runs of QuickJS whose time is up while they
// are inside a native that never polls. It has a timer only while something runs.

const (
	watchEvery = 250 * time.Millisecond
	// revokeGrace is how long after its deadline a run may go on before its memory is taken.
	revokeGrace = 250 * time.Millisecond
	// beingRevoked stands in quickRuntime.running while the memory is taken away.
	beingRevoked = -1
)

var watching atomic.Bool

// watch makes sure that the watchdog looks soon. It is called at the start of every run.
func watch() {
	if !watching.Load() && watching.CompareAndSwap(false, true) {
		time.AfterFunc(watchEvery, watchStep)
	}
}

func watchStep() {
	if watchAll(time.Now()) {
		time.AfterFunc(watchEvery, watchStep)
		return
	}
	watching.Store(false)
	if watchAll(time.Now()) { // one began after the look and before the store
		watch()
	}
}

// watchAll looks at every run and reports whether there is one.
func watchAll(now time.Time) (busy bool) {
	for _, q := range *quickLive.table.Load() {
		if q != nil && q.overdue(now) {
			busy = true
		}
	}
	return busy
}

// overdue ends a run that is past its deadline: by its next poll or, when there was none for
// a while, by taking its memory away. It reports whether something runs.
func (q *quickRuntime) overdue(now time.Time) bool {
	due := q.running.Load()
	if due <= 0 {
		return false
	}
	late := sinceStart(now) - due
	if late >= 0 {
		q.kill.Store(true)
	}
	if late >= int64(revokeGrace) && q.running.CompareAndSwap(due, beingRevoked) {
		q.arena.revoke()
	}
	return true
}

// watched begins a run that must end by due.
func (q *quickRuntime) watched(due int64) {
	q.kill.Store(false)
	q.running.Store(max(due, 1))
	watch()
}

// unwatched ends it. The memory of a runtime that the watchdog is about to revoke must not be
// used again, by anyone.
func (q *quickRuntime) unwatched() {
	if q.running.Swap(0) != beingRevoked {
		return
	}
	q.broken = true
	for !q.arena.isRevoked() {
		runtime.Gosched()
	}
}
