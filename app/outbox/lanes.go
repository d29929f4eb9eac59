package outbox

import (
	"cmp"
	"slices"
	"strings"
	"sync"

	"picloud/app/cloud"
)

// Lanes other than "", the lane of ordinary rows, are named kind:name.
const (
	queuePrefix = "queue:"
	httpPrefix  = "http:"
)

// QueueLane is the lane of a queue's messages. They wait there until a trigger consumes them.
func QueueLane(queue string) string { return queuePrefix + queue }

// HTTPLane is the lane of requests to a host, which a Sender runs one at a time.
func HTTPLane(host string) string { return httpPrefix + host }

// sends reports that the rows of a lane are run by a Sender.
func sends(lane string) bool { return strings.HasPrefix(lane, httpPrefix) }

// consumed reports that the rows of a lane wait for a trigger that consumes them.
func consumed(lane string) bool { return strings.HasPrefix(lane, queuePrefix) }

// lanes is what the dispatcher knows of the rows that wait: one app's backlog must not hide
// another's single event, nor one lane's those of the others. Rows enter and leave the table
// through this package alone, so it knows when each lane's earliest row is due without
// asking; a look at the table now and then makes up for anything missed.
//
// What it knows of policies is a hint, too: a claim reads in its own transaction whether a
// queue may be consumed.
type lanes struct {
	wake chan struct{} // has a value after something changed that may let rows start

	// room is how many executions the quotas leave to an app, at most most, and when there will
	// be room again if there is none and no execution must end first.
	room func(app cloud.AppID, now cloud.Time, most int) (room int, until cloud.Time)

	mu       sync.Mutex // guards what follows
	apps     map[cloud.AppID]*appLanes
	policies map[laneID]policy
	turn     uint64 // counts claims
}

type laneID struct {
	app  cloud.AppID
	name string
}

// policy says whether and how the rows of a lane run.
type policy struct {
	open        bool
	concurrency int        // most executions at once; 0: no bound
	notBefore   cloud.Time // nothing is claimed until then
}

// appLanes is an app that has rows.
type appLanes struct {
	app     cloud.AppID
	running int    // executions that hold a permit
	served  uint64 // the claim that took rows of it last
	lanes   map[string]*lane
}

// lane has rows that wait, if it is open, or run.
type lane struct {
	name    string
	due     cloud.Time // of its earliest row; 0: none waits
	running int        // executions
	served  uint64
}

func (l *lanes) init() {
	l.wake = make(chan struct{}, 1)
	l.apps = map[cloud.AppID]*appLanes{}
	l.policies = map[laneID]policy{}
}

func (l *lanes) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// policyLocked is a lane's policy: the one that was set, or that of its kind.
func (l *lanes) policyLocked(id laneID) policy {
	if p, ok := l.policies[id]; ok {
		return p
	}
	switch {
	case consumed(id.name):
		return policy{}
	case sends(id.name):
		return policy{open: true, concurrency: 1}
	}
	return policy{open: true}
}

// set changes a lane's policy. due is when its earliest row is (0: none waits).
func (l *lanes) set(id laneID, p policy, due cloud.Time) {
	l.mu.Lock()
	delete(l.policies, id)
	if p != l.policyLocked(id) {
		l.policies[id] = p
	}
	x := l.laneLocked(id)
	switch {
	case !p.open:
		x.due = 0
	case x.due == 0 || due != 0 && due < x.due:
		x.due = due
	}
	l.tidyLocked(id)
	l.mu.Unlock()
	l.signal()
}

// hold keeps the lane from being claimed until then; an earlier time or zero lets it go.
func (l *lanes) hold(id laneID, until cloud.Time) {
	l.mu.Lock()
	p := l.policyLocked(id)
	p.notBefore = until
	delete(l.policies, id)
	if p != l.policyLocked(id) {
		l.policies[id] = p
	}
	l.mu.Unlock()
	l.signal()
}

// add says that a row of a lane waits until due. Rows of a closed lane wake nobody.
func (l *lanes) add(id laneID, due cloud.Time) {
	l.mu.Lock()
	if !l.policyLocked(id).open {
		l.mu.Unlock()
		return
	}
	x := l.laneLocked(id)
	if x.due == 0 || due < x.due {
		x.due = due
	}
	l.mu.Unlock()
	l.signal()
}

func (l *lanes) laneLocked(id laneID) *lane {
	a := l.appLocked(id.app)
	x := a.lanes[id.name]
	if x == nil {
		x = &lane{name: id.name}
		a.lanes[id.name] = x
	}
	return x
}

func (l *lanes) appLocked(app cloud.AppID) *appLanes {
	a := l.apps[app]
	if a == nil {
		a = &appLanes{app: app, lanes: map[string]*lane{}}
		l.apps[app] = a
	}
	return a
}

// took says that a claim took rows of a lane for n executions, and when the next row that may
// be claimed is due (0: none is left).
func (l *lanes) took(id laneID, n int, next cloud.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	a, x := l.appLocked(id.app), l.laneLocked(id)
	x.due = next
	x.running += n
	if !sends(id.name) {
		a.running += n
	}
	if n > 0 {
		l.turn++
		x.served = l.turn
		a.served = l.turn
	}
	l.tidyLocked(id)
}

// left says that an execution of a lane gave back its permit.
func (l *lanes) left(id laneID) {
	l.mu.Lock()
	a, x := l.appLocked(id.app), l.laneLocked(id)
	x.running--
	if !sends(id.name) {
		a.running--
	}
	waits := a.waits()
	l.tidyLocked(id)
	l.mu.Unlock()
	if waits || sends(id.name) { // a permit of a Sender may be what another app waits for
		l.signal()
	}
}

// waits reports that rows of the app wait.
func (a *appLanes) waits() bool {
	for _, x := range a.lanes {
		if x.due != 0 {
			return true
		}
	}
	return false
}

// poke wakes the dispatcher if rows of app wait.
func (l *lanes) poke(app cloud.AppID) {
	l.mu.Lock()
	a := l.apps[app]
	waits := a != nil && a.waits()
	l.mu.Unlock()
	if waits {
		l.signal()
	}
}

func (l *lanes) tidyLocked(id laneID) {
	a := l.apps[id.app]
	if x := a.lanes[id.name]; x.due == 0 && x.running == 0 {
		delete(a.lanes, id.name)
	}
	if len(a.lanes) == 0 {
		delete(l.apps, id.app)
	}
}

// consumers lists the open lanes that wait for a consumer otherwise.
func (l *lanes) consumers() []laneID {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []laneID
	for id, p := range l.policies {
		if p.open && consumed(id.name) {
			ids = append(ids, id)
		}
	}
	return ids
}

// share is how many executions of an app a claim may start, and from which lanes.
type share struct {
	app   cloud.AppID
	room  int
	lanes []laneShare
}

type laneShare struct {
	name string
	room int
}

// due lists the apps with due rows and room below most (0: no bound), those with the fewest
// running executions first, then those that were served longest ago; likewise the lanes of
// each. It looks at the lanes of Senders or at all others. When nothing is due, next is when
// the first row will be, 0 if that is up to other events.
func (l *lanes) due(now cloud.Time, most int, send bool) (shares []share, next cloud.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	sooner := func(t cloud.Time) {
		if t != 0 && (next == 0 || t < next) {
			next = t
		}
	}
	var ready []*appLanes
	for _, a := range l.apps {
		if !send && most > 0 && a.running >= most {
			continue
		}
		first := a.first(l, send)
		if first == 0 || first > now {
			sooner(first)
			continue
		}
		if !send {
			room, until := l.room(a.app, now, 1)
			if room == 0 {
				sooner(until)
				continue
			}
		}
		ready = append(ready, a)
	}
	slices.SortFunc(ready, func(a, b *appLanes) int {
		return cmp.Or(cmp.Compare(a.running, b.running), cmp.Compare(a.served, b.served))
	})
	for _, a := range ready {
		shares = append(shares, a.share(l, now, most, send))
	}
	return shares, next
}

// first is when the first row of the app's lanes may be claimed; 0: none can.
func (a *appLanes) first(l *lanes, send bool) (first cloud.Time) {
	for _, x := range a.lanes {
		if at := x.at(l, a.app, send); at != 0 && (first == 0 || at < first) {
			first = at
		}
	}
	return first
}

// at is when the lane's first row may be claimed; 0: none can, now.
func (x *lane) at(l *lanes, app cloud.AppID, send bool) cloud.Time {
	if x.due == 0 || sends(x.name) != send {
		return 0
	}
	p := l.policyLocked(laneID{app, x.name})
	if !p.open || p.concurrency > 0 && x.running >= p.concurrency {
		return 0
	}
	return max(x.due, p.notBefore)
}

// share is the app's part of a claim.
func (a *appLanes) share(l *lanes, now cloud.Time, most int, send bool) share {
	s := share{app: a.app, room: maxClaim}
	if !send {
		if most > 0 {
			s.room = most - a.running
		}
		s.room, _ = l.room(a.app, now, s.room)
	}
	var ready []*lane
	for _, x := range a.lanes {
		if at := x.at(l, a.app, send); at != 0 && at <= now {
			ready = append(ready, x)
		}
	}
	slices.SortFunc(ready, func(x, y *lane) int {
		return cmp.Or(cmp.Compare(x.running, y.running), cmp.Compare(x.served, y.served))
	})
	for _, x := range ready {
		room := s.room
		if p := l.policyLocked(laneID{a.app, x.name}); p.concurrency > 0 {
			room = min(room, p.concurrency-x.running)
		}
		s.lanes = append(s.lanes, laneShare{x.name, room})
	}
	return s
}
