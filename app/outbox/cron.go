package outbox

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// cron makes rows of ticks. A tick's row is inserted in the transaction that advances its
// trigger's next_at, so that a crash neither loses nor doubles it.
type cronLoop struct {
	clock clock
	wake  chan struct{} // has a value after a trigger changed
	known bool          // the newest time of the file
	fails int           // of step, in a row
}

// Bounds of one look at the schedules.
const (
	cronBatch = 100 // triggers that tick in one transaction
	cronRetry = 5 * time.Second
	cronRest  = 24 * time.Hour // while there is no schedule at all
)

// serveCron sleeps until the earliest tick, at most for a tick of the dispatcher, and is woken
// by commits that change triggers.
func (o *Outbox) serveCron(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-o.cron.wake:
		}
		wait, err := o.stepCron(ctx)
		if err != nil && ctx.Err() == nil {
			if o.cron.fails++; o.cron.fails == 1 {
				o.log.Error("schedules can't be read or their ticks written; they are tried again until they can", "err", err)
			}
			wait = cronRetry
		} else {
			o.cron.fails = 0
		}
		timer.Reset(wait)
	}
}

// cronChanged wakes the loop when tx commits.
func (o *Outbox) cronChanged(tx *db.Tx) {
	tx.AfterCommit(func() {
		select {
		case o.cron.wake <- struct{}{}:
		default:
		}
	})
}

// stepCron runs what is due and says how long to sleep.
func (o *Outbox) stepCron(ctx context.Context) (time.Duration, error) {
	if !o.cron.known {
		if err := o.cron.clock.remember(ctx, o.db); err != nil {
			return 0, err
		}
		o.cron.known = true
	}
	before := o.cron.clock.warning()
	hold, back := o.cron.clock.look(o.o.Now())
	if after := o.cron.clock.warning(); after != before {
		o.log.Warn("schedules and the clock", "hold", hold, "why", after)
	}
	if hold {
		return tick, nil
	}
	if back {
		if err := o.rewind(ctx); err != nil {
			return 0, err
		}
	}
	return o.tickAll(ctx)
}

// tickAll makes rows of all due ticks, and says how long until the next.
func (o *Outbox) tickAll(ctx context.Context) (time.Duration, error) {
	refused := map[cloud.TriggerID]bool{} // they stay as they are for a while
	for {
		now := o.o.Now()
		var due []*cronTrigger
		var next cloud.Time
		err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) (err error) {
			due, next, err = dueCron(rx, cloud.TimeOf(now), refused)
			return err
		})
		if err != nil {
			return 0, err
		}
		if len(due) == 0 {
			return o.untilTick(next, len(refused) > 0), nil
		}
		planned := o.planAll(due, now, refused)
		var over []*cronTrigger
		err = o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) (err error) {
			over, err = o.tick(tx, planned)
			return err
		})
		if err != nil {
			return 0, err
		}
		for _, t := range over {
			refused[t.ID] = true
			o.log.Warn("a schedule's ticks wait: the app's outbox is full", "app", t.AppID, "trigger", t.ID)
		}
	}
}

// untilTick is how long to sleep until next, 0 being never: then no schedule is in force, and
// a change will wake the loop. Otherwise it doesn't sleep long, because the clock may jump.
func (o *Outbox) untilTick(next cloud.Time, refused bool) time.Duration {
	wait := cronRest
	if next != 0 {
		wait = min(tick, max(next.Time().Sub(o.o.Now()), time.Millisecond))
	}
	if refused {
		wait = min(wait, cronRetry)
	}
	return wait
}

// cronTrigger is an enabled trigger whose tick is due, and what is to become of it.
type cronTrigger struct {
	*cloud.Trigger
	ticks   []time.Time
	skipped bool // ticks that were missed
	next    cloud.Time
}

// dueCron reads triggers that are due, but for some, and when the next one is.
func dueCron(rx *db.Rx, now cloud.Time, not map[cloud.TriggerID]bool) (due []*cronTrigger, next cloud.Time, err error) {
	found, err := selectTriggers(rx, `
		WHERE enabled = 1 AND id IN (SELECT trigger_id FROM cron_trigger_details WHERE next_at <= ? ORDER BY next_at LIMIT ? + 0)`, int64(now), cronBatch+len(not))
	if err != nil {
		return nil, 0, err
	}
	for _, t := range found {
		if !not[t.ID] {
			due = append(due, &cronTrigger{Trigger: t})
		}
	}
	err = rx.QueryRow(`SELECT coalesce(min(next_at), 0) FROM cron_trigger_details WHERE next_at > ?`, int64(now)).Scan((*int64)(&next))
	if err != nil {
		return nil, 0, fmt.Errorf("look for the next tick: %w", err)
	}
	return due, next, nil
}

// planAll plans as many triggers as one transaction takes. One that can't be planned is
// refused; the others need not wait for it.
func (o *Outbox) planAll(due []*cronTrigger, now time.Time, refused map[cloud.TriggerID]bool) (planned []*cronTrigger) {
	rows := 0
	for _, t := range due {
		if err := t.plan(now); err != nil {
			refused[t.ID] = true
			o.log.Error("a schedule can't be read", "app", t.AppID, "trigger", t.ID, "err", err)
			continue
		}
		planned = append(planned, t)
		if rows += len(t.ticks); rows >= maxCatchUp {
			break
		}
	}
	return planned
}

// plan decides which ticks run.
func (t *cronTrigger) plan(now time.Time) error {
	f := t.Cron
	s, err := parseSchedule(f.Schedule, f.Timezone)
	if err != nil {
		return err
	}
	first := f.NextAt.Time()
	timely := s.from(first, now.Add(-time.Duration(f.MaxLatenessSeconds)*time.Second))
	t.skipped = timely.IsZero() || timely.After(first)
	switch {
	case !t.skipped, f.CatchUp == catchUpAll:
		t.ticks, t.skipped = s.due(first, now, maxCatchUp)
	case f.CatchUp == catchUpLast:
		t.ticks = []time.Time{s.last(first, now)}
	case !timely.IsZero():
		t.ticks, _ = s.due(timely, now, maxCatchUp)
	}
	t.next = tickTime(s.next(s.last(first, now)))
	return nil
}

// tick inserts the planned rows and advances the triggers, in one transaction. It lists the
// triggers that a quota refused something: they stay at what was refused.
func (o *Outbox) tick(tx *db.Tx, planned []*cronTrigger) (over []*cronTrigger, err error) {
	for _, t := range planned {
		tx.CountFor(db.Cause{App: t.AppID, Script: t.ScriptID, Trigger: t.ID}, 1)
		moved, err := advance(tx, t.ID, t.Cron.NextAt, t.next)
		if err != nil {
			return nil, err
		}
		if !moved {
			continue // it was changed in the meantime
		}
		refused, err := o.insertTicks(tx, t)
		if err != nil {
			return nil, err
		}
		if refused == 0 {
			continue
		}
		over = append(over, t)
		if _, err := advance(tx, t.ID, t.next, refused); err != nil {
			return nil, err
		}
	}
	return over, nil
}

// insertTicks inserts a row for each tick, until the quota refuses one.
func (o *Outbox) insertTicks(tx *db.Tx, t *cronTrigger) (refused cloud.Time, err error) {
	inserted := 0
	for _, at := range t.ticks {
		err := o.quotas.checkRows(tx, t.AppID, cloud.BudgetExceeded)
		if cloud.KindOf(err) == cloud.BudgetExceeded {
			refused = cloud.TimeOf(at)
			break
		}
		if err != nil {
			return 0, err
		}
		r, err := tickRow(t.Trigger, at, tx.Now, false)
		if err != nil {
			return 0, err
		}
		if _, err := o.insertFor(tx, r); err != nil {
			return 0, err
		}
		inserted++
	}
	tx.AfterCommit(func() { o.metrics.ticked(t, inserted) })
	return refused, nil
}

// advance moves a trigger from the tick that it stands at. It reports false when it doesn't
// stand there any more.
func advance(tx *db.Tx, id cloud.TriggerID, from, to cloud.Time) (bool, error) {
	res, err := tx.Exec(`UPDATE cron_trigger_details SET next_at = ?, last_at = ? WHERE trigger_id = ? AND next_at IS ?`,
		nullTime(to), tx.Now.UnixMilli(), id, nullTime(from))
	if err != nil {
		return false, fmt.Errorf("advance a schedule: %w", err)
	}
	n, err := res.RowsAffected()
	return n == 1, err
}

// rewind begins every schedule anew that waits for a time which the clock, set back, is far
// from.
func (o *Outbox) rewind(ctx context.Context) error {
	o.log.Warn("the clock was set back: schedules begin anew at the present time")
	return o.db.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		all, err := selectTriggers(tx.Rx, `WHERE enabled = 1 AND id IN (SELECT trigger_id FROM cron_trigger_details WHERE next_at > ?)`, tx.Now.UnixMilli())
		if err != nil {
			return err
		}
		for _, t := range all {
			next, err := firstTick(t.Cron, tx.Now)
			if err != nil || next >= t.Cron.NextAt {
				continue
			}
			if _, err := advance(tx, t.ID, t.Cron.NextAt, next); err != nil {
				return err
			}
		}
		return nil
	})
}

// cronEvent is the payload of a tick.
type cronEvent struct {
	Source string     `json:"source"`
	Op     string     `json:"op"`
	Cron   cronDetail `json:"cron"`
}

type cronDetail struct {
	Schedule    string     `json:"schedule"`
	Timezone    string     `json:"timezone"`
	ScheduledAt cloud.Time `json:"scheduled_at"`
	LateMS      int64      `json:"late_ms"` // when the row was made
	Manual      bool       `json:"manual"`  // somebody asked for it
}

func tickRow(t *cloud.Trigger, at, now time.Time, manual bool) (*row, error) {
	payload, err := json.Marshal(cronEvent{Source: cloud.SourceCron, Op: "tick", Cron: cronDetail{
		Schedule: t.Cron.Schedule, Timezone: t.Cron.Timezone, ScheduledAt: cloud.TimeOf(at), LateMS: max(0, now.Sub(at).Milliseconds()), Manual: manual,
	}})
	if err != nil {
		return nil, fmt.Errorf("encode a tick: %w", err)
	}
	id := cloud.NewID[cloud.RowID]()
	return &row{
		id: id, app: t.AppID, source: cloud.SourceCron, op: "tick", trigger: t.ID, script: t.ScriptID,
		root: cloud.ExecutionID(id), retry: retryOf(t), payload: payload,
	}, nil
}

// RunTrigger makes a row of a tick at this moment, whatever the schedule says and even while
// the trigger is disabled. The id names the event, as that of Submit does. Errors are NotFound,
// Invalid for a trigger that isn't of kind cron, and RateLimited when the outbox is full.
func (o *Outbox) RunTrigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID, by cloud.UserID) (event cloud.ExecutionID, err error) {
	err = o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		t, err := triggerOf(tx.Rx, app, id)
		if err != nil {
			return err
		}
		if t.Cron == nil {
			return cloud.Errorf(cloud.Invalid, "a %s trigger can't be run by hand: only cron triggers can", t.Kind)
		}
		if err := o.quotas.checkRows(tx, app, cloud.RateLimited); err != nil {
			return err
		}
		r, err := tickRow(t, tx.Now, tx.Now, true)
		if err != nil {
			return err
		}
		r.principal, event = by, r.root
		return o.insert(tx, r)
	})
	return event, err
}
