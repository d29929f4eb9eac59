package outbound

import (
	"fmt"
	"testing"
	"time"

	"picloud/app/cloud"
)

func TestBreakers(t *testing.T) {
	t.Parallel()
	var b Breakers
	app, other := cloud.AppID{1}, cloud.AppID{2}
	now := cloud.TimeOf(time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC))
	for i, want := range []time.Duration{5, 10, 20, 40, 80, 160, 300, 300} {
		s := b.Failed(app, "x.test", "refused", now)
		if got := s.NextTryAt.Time().Sub(now.Time()); got != want*time.Second || s.Open != (i >= 4) || s.Failures != i+1 {
			t.Errorf("failure %d: got %+v after %v, want %v s", i+1, s, got, want)
		}
	}
	if got := b.Hosts(app); len(got) != 1 || got[0].Host != "x.test" || got[0].LastError != "refused" || b.Open() != 1 {
		t.Errorf("got %+v", got)
	}
	if b.Worked(other, "x.test") || len(b.Hosts(other)) != 0 {
		t.Error("another app's breaker is the same")
	}
	if !b.Worked(app, "x.test") || b.Worked(app, "x.test") || len(b.Hosts(app)) != 0 {
		t.Error("a success doesn't close the breaker")
	}
	for i := range maxHosts + 10 {
		b.Failed(app, fmt.Sprint(i), "", now)
	}
	if n := len(b.Hosts(app)); n != maxHosts {
		t.Errorf("%d hosts are remembered", n)
	}
}
