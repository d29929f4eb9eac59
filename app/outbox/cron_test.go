package outbox

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

// cronBox is a box whose wall clock can be set, and a script that notes its ticks.
type cronBox struct {
	*box
	jump  *atomic.Int64 // what the wall clock is ahead, in nanoseconds
	opts  func(*Options)
	ticks []cronDetail // guarded by mu
	fail  bool
	tr    *cloud.Trigger
}

// openCron begins at 2000-01-01T00:00:00Z, where a bubble does.
func openCron(t testing.TB, f cloud.CronFilter, change func(*Options)) *cronBox {
	t.Helper()
	c := &cronBox{jump: &atomic.Int64{}}
	c.opts = func(o *Options) {
		o.Now = c.now
		if change != nil {
			change(o)
		}
	}
	c.box = openOn(t, dbtest.Open(t, func(o *db.Options) { o.Now = c.now }), c.opts)
	s := c.script(c.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
		var ev cronEvent
		if err := json.Unmarshal(inv.Event, &ev); err != nil || ev.Source != "cron" || ev.Op != "tick" || inv.Principal.User != c.user {
			t.Errorf("event %s as %v: %v", inv.Event, inv.Principal, err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.fail {
			return throw("no")
		}
		c.ticks = append(c.ticks, ev.Cron)
		return ok(nil)
	})
	c.tr = c.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceCron, Cron: &f})
	return c
}

func (c *cronBox) now() time.Time { return time.Now().Add(time.Duration(c.jump.Load())) }

// restart is what a new process on the file is.
func (c *cronBox) restart() {
	opts := Options{Gate: c.gate, Principals: c.box, Scripts: c.box, Logger: c.log, Retry: Retry{3, Exponential, 1000, 0}}
	c.opts(&opts)
	c.Outbox = New(c.d, opts)
	c.SetRunner(c.box)
}

// seen lists the ticks that ran since the last call, as times of the day.
func (c *cronBox) seen() []string {
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	var at []string
	for _, tk := range c.ticks {
		at = append(at, tk.ScheduledAt.Time().Format("15:04"))
	}
	c.ticks = nil
	slices.Sort(at)
	return at
}

func (c *cronBox) want(what string, ticks ...string) {
	c.t.Helper()
	if got := c.seen(); !slices.Equal(got, ticks) {
		c.t.Errorf("%s: got ticks %v, want %v", what, got, ticks)
	}
}

func TestCronTicks(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "*/10 * * * *"}, nil)
		defer c.serve()()
		time.Sleep(25 * time.Minute)
		c.mu.Lock()
		first := c.ticks[0]
		c.mu.Unlock()
		if first.LateMS > 1000 || first.Schedule != "*/10 * * * *" || first.Timezone != "UTC" || first.Manual {
			t.Errorf("first tick: got %+v", first)
		}
		c.want("every ten minutes", "00:10", "00:20")

		// A change begins anew, and wakes the loop.
		schedule, zone := "30 3 * * *", "Asia/Kolkata" // 22:00 UTC
		patch := TriggerPatch{FilterPatch: FilterPatch{CronPatch: CronPatch{Schedule: &schedule, Timezone: &zone}}}
		tr, err := c.UpdateTrigger(t.Context(), c.app, c.tr.ID, patch)
		if err != nil {
			t.Fatal(err)
		}
		if runs := NextRuns(tr.Cron, 2); len(runs) != 2 || runs[0].String() != "2000-01-01T22:00:00.000Z" || runs[1].String() != "2000-01-02T22:00:00.000Z" {
			t.Errorf("next runs: got %v", runs)
		}
		time.Sleep(24 * time.Hour)
		c.want("after the change", "22:00")

		// What a disabled trigger misses is not caught up.
		off, on, all := false, true, catchUpAll
		if tr, err = c.UpdateTrigger(t.Context(), c.app, c.tr.ID, TriggerPatch{Enabled: &off, FilterPatch: FilterPatch{CronPatch: CronPatch{CatchUp: &all}}}); err != nil || len(NextRuns(tr.Cron, 5)) != 0 {
			t.Fatalf("disabled: %v, %v", tr, err)
		}
		time.Sleep(72 * time.Hour)
		c.want("disabled")
		if _, err := c.UpdateTrigger(t.Context(), c.app, c.tr.ID, TriggerPatch{Enabled: &on}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		c.want("enabled again, not due yet")
		time.Sleep(24 * time.Hour)
		c.want("enabled again", "22:00")
	})
}

func TestCronRunNow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "@yearly"}, nil)
		off := false
		if _, err := c.UpdateTrigger(t.Context(), c.app, c.tr.ID, TriggerPatch{Enabled: &off}); err != nil {
			t.Fatal(err)
		}
		defer c.serve()()
		time.Sleep(time.Hour)
		id, err := c.RunTrigger(t.Context(), c.app, c.tr.ID, c.user)
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if c.mu.Lock(); len(c.ticks) != 1 || !c.ticks[0].Manual || c.ticks[0].LateMS != 0 {
			t.Errorf("got %+v", c.ticks)
		}
		c.mu.Unlock()
		c.want("run by hand", "01:00")
		if r := c.records(); len(r) != 1 || r[0].inv.Root != id {
			t.Errorf("execution: got %+v, want root %v", r, id)
		}
		_, err = c.RunTrigger(t.Context(), c.addApp("other"), c.tr.ID, c.user)
		wantError(t, err, cloud.NotFound, "no such trigger")
		_, err = c.RunTrigger(t.Context(), c.app, c.kvTrigger(c.tr.ScriptID).ID, c.user)
		wantError(t, err, cloud.Invalid, "only cron")
	})
}

// While the instance is off, ticks are missed; catch_up says what becomes of them.
func TestCronCatchUp(t *testing.T) {
	for _, tt := range []struct {
		catchUp  string
		lateness int
		want     []string
	}{
		{catchUpNone, 60, nil},
		{catchUpNone, 900, []string{"03:00"}},
		{catchUpLast, 60, []string{"03:00"}},
		{catchUpAll, 60, []string{"01:00", "01:30", "02:00", "02:30", "03:00"}},
	} {
		bubble(t, func(t *testing.T) {
			c := openCron(t, cloud.CronFilter{Schedule: "*/30 * * * *", CatchUp: tt.catchUp, MaxLatenessSeconds: tt.lateness}, nil)
			stop := c.serve()
			time.Sleep(45 * time.Minute)
			stop()
			c.want("before", "00:30")
			time.Sleep(2*time.Hour + 25*time.Minute) // 03:10
			c.restart()
			defer c.serve()()
			c.want(tt.catchUp, tt.want...)
			time.Sleep(30 * time.Minute)
			c.want(tt.catchUp+", and then on time", "03:30")
		})
	}
}

// A year of minutes makes no flood and costs no minute.
func TestCronCatchUpIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "* * * * *", CatchUp: catchUpAll}, nil)
		time.Sleep(365 * 24 * time.Hour)
		defer c.serve()()
		time.Sleep(time.Minute)
		got := c.seen()
		if len(got) < maxCatchUp || len(got) > maxCatchUp+2 {
			t.Errorf("got %d ticks, want %d and what came since", len(got), maxCatchUp)
		}
	})
}

// A row and the advance of its trigger are one commit.
func TestCronCrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "*/10 * * * *", CatchUp: catchUpAll}, nil)
		time.Sleep(35 * time.Minute)
		// A process that makes the rows and dies before it runs any.
		if _, err := c.stepCron(t.Context()); err != nil {
			t.Fatal(err)
		}
		if n := c.count(`SELECT count(*) FROM outbox WHERE source = 'cron'`); n != 3 {
			t.Errorf("rows: got %d, want 3", n)
		}
		// One that dies between: nothing of it is there.
		time.Sleep(10 * time.Minute)
		err := c.d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			due, _, err := dueCron(tx.Rx, cloud.TimeOf(tx.Now), nil)
			if err != nil {
				return err
			}
			if err := due[0].plan(tx.Now); err != nil {
				return err
			}
			if _, err := c.tick(tx, due); err != nil {
				return err
			}
			return context.Canceled
		})
		if err != context.Canceled {
			t.Fatal(err)
		}
		c.restart()
		defer c.serve()()
		c.want("after the crashes", "00:10", "00:20", "00:30", "00:40")
	})
}

func TestCronRetriesAndDies(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "@daily"}, nil)
		c.fail = true
		defer c.serve()()
		time.Sleep(24*time.Hour + time.Minute)
		letters := c.letters(DeadLetterFilter{Source: cloud.SourceCron})
		if len(letters) != 1 || len(letters[0].Attempts) != 3 || !strings.Contains(string(letters[0].Payload), `"scheduled_at":"2000-01-02T00:00:00.000Z"`) {
			t.Errorf("letters: got %+v", letters)
		}
	})
}

// A full outbox delays ticks; it neither loses them nor stops other schedules.
func TestCronQuota(t *testing.T) {
	bubble(t, func(t *testing.T) {
		quota := atomic.Int64{}
		quota.Store(1)
		var app cloud.AppID
		c := openCron(t, cloud.CronFilter{Schedule: "*/10 * * * *", CatchUp: catchUpAll}, func(o *Options) {
			o.Quota = func(a cloud.AppID) cloud.Quotas {
				if a == app {
					return cloud.Quotas{OutboxRows: quota.Load()}
				}
				return cloud.Quotas{}
			}
		})
		app = c.app
		other := c.addApp("other")
		var ran atomic.Int64
		s := c.script(other, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { ran.Add(1); return ok(nil) })
		c.trigger(&cloud.Trigger{AppID: other, ScriptID: s, Kind: cloud.SourceCron, Cron: &cloud.CronFilter{Schedule: "*/10 * * * *", CatchUp: catchUpAll}})
		c.update(func(tx *db.Tx) error { // a row that fills the outbox
			return c.insert(tx, &row{id: cloud.NewID[cloud.RowID](), app: c.app, source: "http", op: "GET", root: cloud.NewID[cloud.ExecutionID](), retry: DefaultRetry, payload: []byte("{}")})
		})
		time.Sleep(21 * time.Minute)
		if _, err := c.stepCron(t.Context()); err != nil {
			t.Fatal(err)
		}
		if mine, others := c.count(`SELECT count(*) FROM outbox WHERE source = 'cron' AND app_id = ?`, c.app), c.count(`SELECT count(*) FROM outbox WHERE app_id = ?`, other); mine != 0 || others != 2 {
			t.Errorf("rows while the outbox is full: got %d and %d of the other app, want 0 and 2", mine, others)
		}
		quota.Store(100)
		defer c.serve()()
		time.Sleep(time.Minute)
		c.want("when there is room", "00:10", "00:20")
	})
}

// The wall clock jumps while the instance runs.
func TestCronClockJumps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		synced := atomic.Bool{}
		c := openCron(t, cloud.CronFilter{Schedule: "*/30 * * * *", CatchUp: catchUpLast}, func(o *Options) {
			o.Synced = func() (bool, bool) { return synced.Load(), true }
			o.ClockWait = 10 * time.Minute
		})
		defer c.serve()()
		time.Sleep(9 * time.Minute)
		if c.ClockWarning() == "" {
			t.Error("no warning while the clock is not synchronised")
		}
		c.jump.Add(int64(5 * time.Hour)) // the time server answers: 05:09
		synced.Store(true)
		time.Sleep(time.Minute)
		c.want("forward: what was missed is one tick", "05:00")
		if why := c.ClockWarning(); why != "" {
			t.Errorf("warning: %s", why)
		}
		time.Sleep(25 * time.Minute) // 05:35
		c.want("on time", "05:30")
		c.jump.Add(-int64(10 * time.Minute)) // 05:25
		time.Sleep(15 * time.Minute)
		c.want("a little back: no tick twice")
		c.jump.Add(-int64(4 * time.Hour)) // 01:40
		time.Sleep(25 * time.Minute)
		c.want("far back on a synchronised machine: begin anew", "02:00")
		synced.Store(false)
		c.jump.Add(-int64(2 * time.Hour)) // 00:05
		time.Sleep(30 * time.Minute)
		c.want("far back without a reason")
		if !strings.Contains(c.ClockWarning(), "before 2000-01-01T02:") {
			t.Errorf("warning: got %q", c.ClockWarning())
		}
		time.Sleep(2 * time.Hour) // 02:35
		c.want("caught up with the time that was seen", "02:30")
	})
}

// A machine without a battery starts in the past.
func TestCronHoldsInThePast(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := openCron(t, cloud.CronFilter{Schedule: "*/30 * * * *", CatchUp: catchUpAll}, func(o *Options) { o.ClockWait = time.Minute })
		time.Sleep(40 * time.Minute)
		if _, err := c.stepCron(t.Context()); err != nil { // 00:30, which is in the file from now on
			t.Fatal(err)
		}
		c.jump.Add(-int64(25 * time.Minute)) // power cut: the clock says 00:15
		c.restart()
		defer c.serve()()
		synctest.Wait()
		if !strings.Contains(c.ClockWarning(), "before 2000-01-01T00:40") {
			t.Errorf("warning: got %q", c.ClockWarning())
		}
		time.Sleep(20 * time.Minute) // 00:35
		c.want("held, but for what was stored before", "00:30")
		time.Sleep(30 * time.Minute) // 01:05
		c.want("the clock is past what is in the file", "01:00")
		if why := c.ClockWarning(); why != "" {
			t.Errorf("warning: %s", why)
		}
	})
}

func TestCronChecks(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s := b.script(b.app, never)
	for _, tt := range []struct {
		name string
		f    *cloud.CronFilter
		part string
	}{
		{"no filter", nil, "schedule"},
		{"bad schedule", &cloud.CronFilter{Schedule: "often"}, "schedule"},
		{"bad zone", &cloud.CronFilter{Schedule: "@daily", Timezone: "Moon"}, "timezone"},
		{"bad catch_up", &cloud.CronFilter{Schedule: "@daily", CatchUp: "some"}, "catch_up"},
		{"negative lateness", &cloud.CronFilter{Schedule: "@daily", MaxLatenessSeconds: -1}, "max_lateness_seconds"},
		{"long lateness", &cloud.CronFilter{Schedule: "@daily", MaxLatenessSeconds: maxLateness + 1}, "max_lateness_seconds"},
	} {
		err := b.CreateTrigger(t.Context(), &cloud.Trigger{AppID: b.app, ScriptID: s, Kind: cloud.SourceCron, Enabled: true, RegisteredByPrincipal: b.user, Cron: tt.f})
		if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%s: got %v, want an invalid %s", tt.name, err, tt.part)
		}
	}
	tr := b.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceCron, Cron: &cloud.CronFilter{Schedule: "@daily"}})
	got, err := b.Trigger(t.Context(), b.app, tr.ID)
	if err != nil || got.Cron.Timezone != "UTC" || got.Cron.CatchUp != catchUpNone || got.Cron.MaxLatenessSeconds != defaultLateness || got.Cron.NextAt == 0 {
		t.Errorf("stored: got %+v, %v; want the defaults filled in", got.Cron, err)
	}
}
