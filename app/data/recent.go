package data

import (
	"slices"
	"sync"

	"picloud/app/cloud"
)

// recentBytes bounds the names in recent.
const recentBytes = 8 << 20

// recent remembers which keys the latest commits wrote, each with the number of the last
// commit that did. It holds a bounded number of keys; what it forgets is forgotten oldest
// first, from the app that has most, so that one app's bulk load costs no other app re-runs.
type recent struct {
	maxKeys, maxBytes int

	mu          sync.Mutex // guards all below
	number      uint64     // of the last commit
	apps        map[cloud.AppID]*appRecent
	keys, bytes int

	// What earlier closures of the batch being committed have written. Those that are
	// rolled back stay until the batch ends, and can cost a needless re-run.
	batch    uint64
	pending  []pendingWrites
	replaced []cloud.AppID

	// How often all entries of an app were replaced. What began before such a change saw
	// another app, whatever it read of it.
	ages map[cloud.AppID]uint64
}

// appRecent is a list in the order of commits, with an index.
type appRecent struct {
	byName         map[name]*written
	oldest, newest *written
	forgot         uint64 // the latest commit of which anything was forgotten
}

type written struct {
	name
	commit       uint64
	older, newer *written
}

type pendingWrites struct {
	app   cloud.AppID
	by    any // the *Unit, whose closure may run twice
	names []name
}

func newRecent(maxKeys, maxBytes int) *recent {
	return &recent{maxKeys: maxKeys, maxBytes: maxBytes, apps: map[cloud.AppID]*appRecent{}, ages: map[cloud.AppID]uint64{}}
}

// now is the number of the last commit that everybody can see. Who notes it and then takes a
// snapshot sees at least that commit, and finds any that it doesn't see in changedSince.
func (r *recent) now() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.number
}

// changedSince says which of reads were written by commits after number, or by earlier
// closures of the batch other than by's own. Old is set when it can't be told any more.
func (r *recent) changedSince(number, batch uint64, app cloud.AppID, by any, reads *reads) (items []item, old bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	changed := itemSet{}
	if a := r.apps[app]; a != nil {
		if number < a.forgot {
			return nil, true
		}
		a.changedSince(number, app, reads, changed)
	}
	if r.batch == batch {
		for _, p := range r.pending {
			if p.app != app || p.by == by {
				continue
			}
			for _, n := range p.names {
				changed.addReads(app, n, reads)
			}
		}
	}
	return changed.list(), false
}

// changedSince looks the keys up; spans need a walk through what was written meanwhile.
func (a *appRecent) changedSince(number uint64, app cloud.AppID, reads *reads, changed itemSet) {
	for n := range reads.keys {
		if w := a.byName[n]; w != nil && w.commit > number {
			changed.add(keyItem(app, n))
		}
	}
	if len(reads.spans) == 0 {
		return
	}
	for w := a.newest; w != nil && w.commit > number; w = w.older {
		changed.addSpans(app, w.name, reads)
	}
}

// announce makes names count as written for the closures that follow in the batch.
func (r *recent) announce(batch uint64, app cloud.AppID, by any, names []name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startBatchLocked(batch)
	r.pending = append(r.pending, pendingWrites{app, by, names})
}

func (r *recent) startBatchLocked(batch uint64) {
	if r.batch != batch {
		clear(r.pending)
		r.batch, r.pending, r.replaced = batch, r.pending[:0], r.replaced[:0]
	}
}

// age is how often all entries of app were replaced.
func (r *recent) age(app cloud.AppID) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ages[app]
}

// agedSince reports whether they were since, by a commit or by an earlier closure of the batch.
func (r *recent) agedSince(age, batch uint64, app cloud.AppID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.ages[app] != age || r.batch == batch && slices.Contains(r.replaced, app)
}

// announceReplaced and publishReplaced are announce and publish for all entries of an app.
func (r *recent) announceReplaced(batch uint64, app cloud.AppID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.startBatchLocked(batch)
	r.replaced = append(r.replaced, app)
}

func (r *recent) publishReplaced(app cloud.AppID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	r.ages[app]++
}

// publish notes a commit that wrote names.
func (r *recent) publish(app cloud.AppID, names []name) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.number++
	a := r.apps[app]
	if a == nil {
		a = &appRecent{byName: map[name]*written{}}
		r.apps[app] = a
	}
	for _, n := range names {
		r.noteLocked(a, n)
	}
	for r.keys > r.maxKeys || r.bytes > r.maxBytes {
		r.forgetLocked()
	}
}

func (r *recent) noteLocked(a *appRecent, n name) {
	w := a.byName[n]
	if w == nil {
		w = &written{name: n}
		a.byName[n] = w
		r.keys++
		r.bytes += n.bytes()
	} else {
		a.unlink(w)
	}
	w.commit = r.number
	a.push(w)
}

func (r *recent) forgetLocked() {
	var largest *appRecent
	for _, a := range r.apps {
		if largest == nil || len(a.byName) > len(largest.byName) {
			largest = a
		}
	}
	w := largest.oldest
	largest.unlink(w)
	delete(largest.byName, w.name)
	largest.forgot = w.commit
	r.keys--
	r.bytes -= w.bytes()
}

func (a *appRecent) push(w *written) {
	w.older, w.newer = a.newest, nil
	if a.newest != nil {
		a.newest.newer = w
	} else {
		a.oldest = w
	}
	a.newest = w
}

func (a *appRecent) unlink(w *written) {
	if w.older != nil {
		w.older.newer = w.newer
	} else {
		a.oldest = w.newer
	}
	if w.newer != nil {
		w.newer.older = w.older
	} else {
		a.newest = w.older
	}
}
