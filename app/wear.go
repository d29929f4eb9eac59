package app

import (
	"slices"
	"sync"

	"picloud/app/cloud"
	"picloud/db"
)

// wear counts what the instance has written since its start, by who caused it: flash wears
// out by writing. It is kept in memory alone, for storing it would be wear too.
type wear struct {
	files  [2]wornFile
	exists func(cloud.AppID) bool // set before anything is reported

	mu       sync.Mutex // guards what follows; a writer takes it once per commit
	platform [2]wornBytes
	apps     ledger[cloud.AppID]
	scripts  ledger[cloud.ScriptID]
	triggers ledger[cloud.TriggerID]
}

// wornFile is a database whose writes are shown.
type wornFile struct {
	name string
	db   *db.DB // set before anything is reported
}

// wornBytes are written bytes and fsyncs, those in millionths because commits share them.
type wornBytes struct{ bytes, microSyncs int64 }

func (w *wornBytes) add(more wornBytes) { w.bytes += more.bytes; w.microSyncs += more.microSyncs }

func (w *wornBytes) subtract(less wornBytes) { w.bytes -= less.bytes; w.microSyncs -= less.microSyncs }

func (w wornBytes) syncs() float64 { return float64(w.microSyncs) / 1e6 }

// The files, as indexes.
const (
	stateFile = iota
	logsFile
)

func newWear() *wear {
	return &wear{
		files: [2]wornFile{{name: "picloud.db"}, {name: "logs.db"}},
		apps:  newLedger[cloud.AppID](), scripts: newLedger[cloud.ScriptID](), triggers: newLedger[cloud.TriggerID](),
	}
}

// committed counts a commit of one file, on its writer's goroutine.
func (w *wear) committed(file int, shares []db.Share) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range shares {
		wrote, app := wornBytes{s.Bytes, s.MicroSyncs}, cloud.AppID(s.Cause.App)
		if app.IsZero() {
			w.platform[file].add(wrote)
			continue
		}
		w.apps.add(app, app, file, wrote)
		if script := cloud.ScriptID(s.Cause.Script); !script.IsZero() {
			w.scripts.add(script, app, file, wrote)
		}
		if trigger := cloud.TriggerID(s.Cause.Trigger); !trigger.IsZero() {
			w.triggers.add(trigger, app, file, wrote)
		}
	}
}

// forget gives up what was counted for a script that is gone: it counts among the others then.
func (w *wear) forget(script cloud.ScriptID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.scripts.drop(func(e *worn[cloud.ScriptID]) bool { return e.id == script })
}

// forgetAppsLocked does so for all apps that are gone. Whoever reports calls it first, rather
// than who deletes an app: what the app caused may be committed later, such as the entry about
// its deletion and the log of its last executions.
func (w *wear) forgetAppsLocked() {
	w.apps.drop(func(e *worn[cloud.AppID]) bool { return !w.exists(e.app) })
	w.scripts.drop(func(e *worn[cloud.ScriptID]) bool { return !w.exists(e.app) })
	w.triggers.drop(func(e *worn[cloud.TriggerID]) bool { return !w.exists(e.app) })
}

// maxWorn bounds a ledger. When it is full, a tenth of it makes room: what has not written
// for longest counts among the others then.
const maxWorn = 1000

// ledger is what was written by kind of cause.
type ledger[I comparable] struct {
	worn   map[I]*worn[I]
	others [2]wornBytes // by file
	number uint64       // of the last entry in it
}

// worn is one cause of writes.
type worn[I comparable] struct {
	id     I
	app    cloud.AppID
	files  [2]wornBytes
	number uint64 // the ledger's at its last write
}

func (e *worn[I]) bytes() int64 { return e.files[stateFile].bytes + e.files[logsFile].bytes }

func newLedger[I comparable]() ledger[I] { return ledger[I]{worn: map[I]*worn[I]{}} }

func (l *ledger[I]) add(id I, app cloud.AppID, file int, wrote wornBytes) {
	l.number++
	e := l.worn[id]
	if e == nil {
		if len(l.worn) >= maxWorn {
			l.makeRoom()
		}
		e = &worn[I]{id: id, app: app}
		l.worn[id] = e
	}
	e.number = l.number
	e.files[file].add(wrote)
}

func (l *ledger[I]) makeRoom() {
	numbers := make([]uint64, 0, len(l.worn))
	for _, e := range l.worn {
		numbers = append(numbers, e.number)
	}
	slices.Sort(numbers)
	last := numbers[maxWorn/10]
	l.drop(func(e *worn[I]) bool { return e.number <= last })
}

// drop moves what goes to the others, so that all together stay what they were.
func (l *ledger[I]) drop(goes func(*worn[I]) bool) {
	for id, e := range l.worn {
		if goes(e) {
			for file, n := range e.files {
				l.others[file].add(n)
			}
			delete(l.worn, id)
		}
	}
}

// top lists the entries that wrote most, at most n.
func (l *ledger[I]) top(n int) []worn[I] {
	all := make([]worn[I], 0, len(l.worn))
	for _, e := range l.worn {
		all = append(all, *e)
	}
	slices.SortFunc(all, func(a, b worn[I]) int { return int(min(max(b.bytes()-a.bytes(), -1), 1)) })
	return all[:min(n, len(all))]
}
