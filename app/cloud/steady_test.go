package cloud

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestSteady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s Steady
		var ahead time.Duration
		want := func(name string, d time.Duration, jumped bool) {
			t.Helper()
			if got, did := s.For(time.Now().Add(ahead)); got != d || did != jumped {
				t.Errorf("%s: got %v, %v, want %v, %v", name, got, did, d, jumped)
			}
		}
		want("at first", 0, false)
		time.Sleep(time.Minute)
		want("as time does", time.Minute, false)
		ahead = 30 * time.Minute
		want("a little ahead", time.Minute, false)
		time.Sleep(time.Minute)
		ahead -= 24 * time.Hour
		want("set back", 2*time.Minute, false)
		ahead += 2 * time.Hour
		want("ahead", 0, true)
		time.Sleep(time.Hour)
		want("an hour later", time.Hour, true)
	})
}
