package outbox

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// A clock that was ten years ahead is set back: what was stored meanwhile is due as long from
// now as it was then, a lane that was held is let go, and a deduplication id is forgotten.
func TestClockSetBackByTenYears(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const years = 10 * 365 * 24 * time.Hour
		var ahead atomic.Int64
		now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
		var said said
		b := open(t, func(o *Options) {
			o.Now = now
			sender(func(_ context.Context, inv *cloud.Invocation) *cloud.Result {
				said.add("%s", inv.Op)
				return &cloud.Result{}
			})(o)
		}, func(o *db.Options) { o.Now = now })
		defer b.serve()()
		ahead.Store(int64(years))
		time.Sleep(time.Minute)
		if err := b.HoldLane(t.Context(), b.app, HTTPLane("held"), cloud.TimeOf(now()).Add(5*time.Minute)); err != nil {
			t.Fatal(err)
		}
		b.message(Message{Op: "held", Lane: HTTPLane("held"), Payload: []byte(`{}`)})
		b.message(Message{Op: "later", Lane: HTTPLane("x"), Delay: time.Hour, Payload: []byte(`{}`)})
		ahead.Store(0)
		time.Sleep(tick + time.Second)
		synctest.Wait()
		if got := said.all(); got != "held" {
			t.Errorf("half a minute after: ran %q, want what was held", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := said.all(); got != "held later" {
			t.Errorf("an hour after: ran %q, want both", got)
		}
	})
}
