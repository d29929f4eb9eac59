package replica

import (
	"sync"
	"time"
)

// maxBatches bounds the memory of a long time without the target; then the oldest are joined.
const maxBatches = 4096

// lag knows since when there are commits that the target doesn't have. It uses the monotonic
// clock, so a clock that is set meanwhile does no harm.
type lag struct {
	mu      sync.Mutex
	dirty   time.Time // of the oldest commit that isn't staged; zero: none
	taken   time.Time // what dirty was when the staging that runs began
	batches []batch   // staged and not uploaded, oldest first
}

// batch is what one staging took: everything up to txid, the oldest of it from since.
type batch struct {
	txid  uint64
	since time.Time
}

// committed is called with every commit.
func (l *lag) committed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirty.IsZero() {
		l.dirty = time.Now()
	}
}

// resume takes over from a process before, which left commits waiting since t; zero: none
// that it knew of.
func (l *lag) resume(t time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dirty = t; t.IsZero() || t.After(time.Now()) {
		l.dirty = time.Now() // it may have been killed just after a commit
	}
}

// staging takes what is dirty, before the log is read: a commit in between counts anew.
func (l *lag) staging() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken, l.dirty = l.dirty, time.Time{}
	return l.taken
}

// unstaged gives back what staging took.
func (l *lag) unstaged(since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = time.Time{}
	if l.dirty.IsZero() || !since.IsZero() && since.Before(l.dirty) {
		l.dirty = since
	}
}

// staged says that the log was staged up to txid.
func (l *lag) staged(txid uint64, since time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.taken = time.Time{}
	if since.IsZero() {
		return
	}
	if n := len(l.batches); n == maxBatches {
		l.batches[1].since = l.batches[0].since
		l.batches = append(l.batches[:0], l.batches[1:]...)
	}
	l.batches = append(l.batches, batch{txid, since})
}

// uploaded says that the target has everything up to txid.
func (l *lag) uploaded(txid uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for n < len(l.batches) && l.batches[n].txid <= txid {
		n++
	}
	l.batches = append(l.batches[:0], l.batches[n:]...)
}

// since is the time of the oldest commit that the target doesn't have; zero: it has all.
func (l *lag) since() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case len(l.batches) > 0:
		return l.batches[0].since
	case !l.taken.IsZero():
		return l.taken
	}
	return l.dirty
}
