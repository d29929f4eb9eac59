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
	var ready []*lane
	for _, x := range l.apps {
		switch {
		case x.due == 0 || most > 0 && x.running >= most:
		case x.due <= now:
			ready = append(ready, x)
		case next == 0 || x.due < next:
			next = x.due
		}
	}
	slices.SortFunc(ready, func(a, b *lane) int {
		return cmp.Or(cmp.Compare(a.running, b.running), cmp.Compare(a.served, b.served))
	})
	for _, x := range ready {
		room := maxClaim
		if most > 0 {
			room = most - x.running
		}
		shares = append(shares, share{x.app, room})
	}
	return shares, next
}
