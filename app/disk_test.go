package app

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

// As a disk fills up, logs go first, then the acceptance of async work; both come back when
// there is room again.
func TestDiskReserve(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := newDisk("x", 100)
		var free int64
		var broken error
		asked := 0
		d.stat = func(string) (int64, int64, error) { asked++; return free, 1000, broken }
		for _, tt := range []struct {
			free           int64
			broken         error
			sheds, refuses bool
		}{
			{500, nil, false, false},
			{200, nil, false, false},
			{199, nil, true, false},
			{100, nil, true, false},
			{99, nil, true, true},
			{0, nil, true, true},
			{0, errors.New("no answer"), false, false},
			{500, nil, false, false},
		} {
			free, broken = tt.free, tt.broken
			time.Sleep(diskFresh)
			err := d.accept()
			if d.shedLogs() != tt.sheds || (err != nil) != tt.refuses {
				t.Errorf("%d free, %v: sheds %v, refuses %v; want %v, %v", tt.free, tt.broken, d.shedLogs(), err, tt.sheds, tt.refuses)
			}
			if err != nil && cloud.KindOf(err) != cloud.Overloaded {
				t.Errorf("got %v, want overloaded", err)
			}
		}
		asked = 0
		for range 100 {
			d.accept()
		}
		if asked != 0 {
			t.Errorf("the file system was asked %d times within a second, want none", asked)
		}
		d.reserve, free = 0, 0
		time.Sleep(diskFresh)
		if d.shedLogs() || d.accept() != nil {
			t.Error("without a reserve, something is refused")
		}
	})
}
