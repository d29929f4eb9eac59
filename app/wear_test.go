package app

import (
	"encoding/binary"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// id makes ids that differ.
func id(n int) (id [16]byte) {
	binary.BigEndian.PutUint64(id[8:], uint64(n))
	return id
}

// all adds up what a ledger holds of a file.
func (l *ledger[I]) all(file int) (sum wornBytes) {
	sum = l.others[file]
	for _, e := range l.worn {
		sum.add(e.files[file])
	}
	return sum
}

// However many causes there are, memory is bounded, and nothing is lost from the sum.
func TestWearIsBounded(t *testing.T) {
	t.Parallel()
	w := newWear()
	const apps = 3 * maxWorn
	var want wornBytes
	for n := 1; n <= apps; n++ {
		share := db.Share{Cause: db.Cause{App: id(n), Script: id(n), Trigger: id(n)}, Bytes: int64(n), MicroSyncs: 500_000}
		busy := db.Share{Cause: db.Cause{App: id(apps + 1)}, Bytes: 1}
		w.committed(n%2, []db.Share{share, busy, {Bytes: 7}})
		if n%2 == stateFile {
			want.add(wornBytes{share.Bytes + busy.Bytes, share.MicroSyncs})
		}
	}
	if got := w.apps.all(stateFile); got != want {
		t.Errorf("the apps have %+v together, want %+v", got, want)
	}
	for name, n := range map[string]int{"apps": len(w.apps.worn), "scripts": len(w.scripts.worn), "triggers": len(w.triggers.worn)} {
		if n > maxWorn || n < maxWorn/2 {
			t.Errorf("%d %s are kept, want at most %d and not many fewer", n, name, maxWorn)
		}
	}
	if e := w.apps.worn[cloud.AppID(id(apps+1))]; e == nil || e.bytes() != apps {
		t.Errorf("the app that writes all the time has %+v, want %d bytes", e, apps)
	}
	if w.platform[stateFile].bytes+w.platform[logsFile].bytes != 7*apps {
		t.Errorf("the platform has %+v", w.platform)
	}
}

func TestWearOfWhatIsGone(t *testing.T) {
	t.Parallel()
	w := newWear()
	w.committed(stateFile, []db.Share{
		{Cause: db.Cause{App: id(1), Script: id(10)}, Bytes: 1},
		{Cause: db.Cause{App: id(1), Script: id(11), Trigger: id(20)}, Bytes: 2},
		{Cause: db.Cause{App: id(2), Script: id(12), Trigger: id(21)}, Bytes: 4},
	})
	w.forget(id(10))
	if len(w.apps.worn) != 2 || len(w.scripts.worn) != 2 || w.scripts.others[stateFile].bytes != 1 {
		t.Errorf("without the script: apps %v, scripts %v and %v", w.apps.worn, w.scripts.worn, w.scripts.others)
	}
	w.exists = func(app cloud.AppID) bool { return app != id(1) }
	w.snapshot()
	if len(w.apps.worn) != 1 || len(w.scripts.worn) != 1 || len(w.triggers.worn) != 1 {
		t.Errorf("without the app: apps %v, scripts %v, triggers %v", w.apps.worn, w.scripts.worn, w.triggers.worn)
	}
	if a, s, x := w.apps.all(stateFile), w.scripts.all(stateFile), w.triggers.all(stateFile); a.bytes != 7 || s.bytes != 7 || x.bytes != 6 {
		t.Errorf("together %v, %v and %v; want 7, 7 and 6 bytes as before", a, s, x)
	}
	w.committed(logsFile, []db.Share{{Cause: db.Cause{App: id(1)}, Bytes: 8}}) // the log of its last execution
	w.snapshot()
	if len(w.apps.worn) != 1 || w.apps.others[logsFile].bytes != 8 {
		t.Errorf("what the app wrote last: apps %v and %v, want it among the others", w.apps.worn, w.apps.others)
	}
}

func TestTopOfWear(t *testing.T) {
	t.Parallel()
	l := newLedger[cloud.AppID]()
	for n := range 20 {
		l.add(id(n+1), id(n+1), n%2, wornBytes{bytes: int64(n)})
	}
	top := l.top(3)
	if len(top) != 3 || top[0].bytes() != 19 || top[1].bytes() != 18 || top[2].bytes() != 17 {
		t.Errorf("got %+v, want those with 19, 18 and 17 bytes", top)
	}
	if n := len(l.top(100)); n != 20 {
		t.Errorf("%d of 20 are listed", n)
	}
}
