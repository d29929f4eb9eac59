package outbox

import (
	"cmp"
	"slices"
	"sync"

	"picloud/app/cloud"
)

// lanes is what the dispatcher knows of each app that has rows: one app's backlog must not
// hide another's single event. Rows enter and leave the table through this package alone, so
// it knows when each app's earliest row is due without asking; a look at the table now and
// then makes up for anything missed.
type lanes struct {
	wake chan struct{} // has a value after something changed that may let rows start

	// room is how many executions the quotas leave to an app, at most most, and when there will
	// be room again if there is none and no execution must end first.
	room func(app cloud.AppID, now cloud.Time, most int) (room int, until cloud.Time)

	mu   sync.Mutex // guards what follows
	apps map[cloud.AppID]*lane
	turn uint64 // counts claims
}

type lane struct {
	app     cloud.AppID
	due     cloud.Time // of its earliest row; 0: none waits
	running int        // rows that hold a permit
	served  uint64     // the claim that took rows of it last
}

func (l *lanes) init() {
	l.wake = make(chan struct{}, 1)
	l.apps = map[cloud.AppID]*lane{}
}

func (l *lanes) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// add says that a row of app waits until due.
func (l *lanes) add(app cloud.AppID, due cloud.Time) {
	l.mu.Lock()
	x := l.laneLocked(app)
	if x.due == 0 || due < x.due {
		x.due = due
	}
	l.mu.Unlock()
	l.signal()
}

func (l *lanes) laneLocked(app cloud.AppID) *lane {
	x := l.apps[app]
	if x == nil {
		x = &lane{app: app}
		l.apps[app] = x
	}
	return x
}

// took says that a claim took n rows of app, whose next is due at next (0: none is left).
func (l *lanes) took(app cloud.AppID, n int, next cloud.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	x := l.laneLocked(app)
	x.due = next
	x.running += n
	if n > 0 {
		l.turn++
		x.served = l.turn
	}
	l.tidyLocked(x)
}

// left says that a row of app gave back its permit.
func (l *lanes) left(app cloud.AppID) {
	l.mu.Lock()
	x := l.laneLocked(app)
	x.running--
	waits := x.due != 0
	l.tidyLocked(x)
	l.mu.Unlock()
	if waits {
		l.signal()
	}
}

// poke wakes the dispatcher if rows of app wait.
func (l *lanes) poke(app cloud.AppID) {
	l.mu.Lock()
	x := l.apps[app]
	waits := x != nil && x.due != 0
	l.mu.Unlock()
	if waits {
		l.signal()
	}
}

func (l *lanes) tidyLocked(x *lane) {
	if x.due == 0 && x.running == 0 {
		delete(l.apps, x.app)
	}
}

// share is how many rows of an app a claim may take.
type share struct {
	app  cloud.AppID
	room int
}

// due lists the apps with due rows and room below most (0: no bound), those with the fewest
// running rows first, then those that were served longest ago. When none is due, next is
// when the first will be, 0 if that is up to other events.
func (l *lanes) due(now cloud.Time, most int) (shares []share, next cloud.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	type candidate struct {
		*lane
		room int
	}
	var ready []candidate
	for _, x := range l.apps {
		switch {
		case x.due == 0 || most > 0 && x.running >= most:
		case x.due <= now:
			room := maxClaim
			if most > 0 {
				room = most - x.running
			}
			room, until := l.room(x.app, now, room)
			if room > 0 {
				ready = append(ready, candidate{x, room})
			} else if until != 0 && (next == 0 || until < next) {
				next = until
			}
		case next == 0 || x.due < next:
			next = x.due
		}
	}
	slices.SortFunc(ready, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(a.running, b.running), cmp.Compare(a.served, b.served))
	})
	for _, x := range ready {
		shares = append(shares, share{x.app, x.room})
	}
	return shares, next
}
