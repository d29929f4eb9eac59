package outbox

import (
	"context"
	"errors"
	"sync"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// tick is the longest that the dispatcher sleeps.
const tick = 30 * time.Second

// Serve is the dispatcher, the sweeps and the schedules: it releases what a process that is gone had
// claimed, then claims and runs rows until ctx ends. After that it claims nothing more and
// waits, for the time of Options.StopGrace, for what runs, callers of Do included; then it
// ends the context of what still does and releases its rows for the next start. It is called
// once.
func (o *Outbox) Serve(ctx context.Context) error {
	o.serving.Store(true)
	defer o.serving.Store(false)
	var sweeps sync.WaitGroup
	sweeps.Go(func() { o.serveSweeps(ctx) })
	sweeps.Go(func() { o.serveCron(ctx) })
	defer sweeps.Wait()
	d := dispatcher{o: o}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		wait, err := d.step(ctx)
		timer.Reset(d.pause(ctx, wait, err))
		wake, freed := o.lanes.wake, o.o.Gate.Freed()
		if err != nil {
			wake, freed = nil, nil // what failed would fail again at once
		}
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
		case <-freed:
		case x := <-o.drops:
			o.log.Warn("event dropped: it is deeper than the limit", "app", x.app, "trigger", x.trigger, "depth", x.depth, "root", x.root)
		}
	}
	o.stop()
	return nil
}

// killGrace is how long executions may take to end once their context has.
const killGrace = 5 * time.Second

// stop waits for what runs.
func (o *Outbox) stop() {
	o.stopping.Store(true)
	done := make(chan struct{})
	go func() {
		o.workers.busy.Wait()
		for o.callers.Load() > 0 {
			<-o.idle
		}
		close(done)
	}()
	grace := time.NewTimer(o.o.StopGrace)
	defer grace.Stop()
	select {
	case <-done:
		o.kill()
	case <-grace.C:
		o.kill()
		grace.Reset(killGrace)
		select {
		case <-done:
		case <-grace.C:
			o.log.Error("executions didn't end when they were told to; the next start releases their rows")
		}
	}
	if err := o.settleStranded(context.Background()); err != nil {
		o.log.Error("write how attempts ended; the next start releases their rows", "err", err)
	}
}

// dispatcher is the state of Serve's loop.
type dispatcher struct {
	o         *Outbox
	released  bool       // rows of processes that are gone
	looked    cloud.Time // at the table for waiting rows
	ask, send int        // how many permits to try for: of the gate, of Senders
	failures  int        // of step, in a row
}

// pause is how long to sleep after a step. The loop's errors are logged here, once for as
// long as they last.
func (d *dispatcher) pause(ctx context.Context, wait time.Duration, err error) time.Duration {
	if err == nil || ctx.Err() != nil {
		if d.failures > 0 && err == nil {
			d.o.log.Info("the dispatcher works again", "failures", d.failures)
			d.failures = 0
		}
		return wait
	}
	if d.failures == 0 {
		d.o.log.Error("the dispatcher can't work; it tries again until it can", "err", err)
	}
	d.failures++
	return min(100*time.Millisecond<<min(d.failures-1, 10), tick)
}

// step starts all rows that are due and find a permit. It says how long nothing can be due
// unless something wakes the loop.
func (d *dispatcher) step(ctx context.Context) (time.Duration, error) {
	o := d.o
	if !d.released {
		if err := errors.Join(o.loadLanes(ctx), o.loadConsumers(ctx)); err != nil {
			return 0, err
		}
		if err := o.release(ctx); err != nil {
			return 0, err
		}
		d.released = true
	}
	if err := o.settleStranded(ctx); err != nil {
		return 0, err
	}
	if err := o.expireLeases(ctx); err != nil {
		return 0, err
	}
	if now := o.now(); d.looked == 0 || now < d.looked || now >= d.looked.Add(tick) {
		if err := o.setBackSince(ctx, d.looked, now); err != nil {
			return 0, err
		}
		if err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
			return errors.Join(earliest(rx, o.lanes.add), o.lookAtQueues(rx))
		}); err != nil {
			return 0, err
		}
		d.looked = now
	}
	scripts, err := d.claimDue(ctx, false, o.o.Gate, &d.ask)
	if err != nil {
		return 0, err
	}
	sends, err := d.claimDue(ctx, true, o.sending, &d.send)
	if err != nil {
		return 0, err
	}
	if scripts == 0 || sends != 0 && sends < scripts {
		scripts = sends
	}
	return o.sleep(o.now(), scripts), nil
}

// entrance is where claims get their permits: the Gate, or that of Senders.
type entrance interface {
	TryEnter(n int) int
	Leave()
}

// claimDue claims until nothing is due or no permit is free, and says when the next row is
// due. It doesn't know how many rows are due, so it begins by asking for one permit and asks
// for more while claims are filled: a permit taken for nothing might be just the one that a
// waiting caller needs.
func (d *dispatcher) claimDue(ctx context.Context, send bool, by entrance, ask *int) (next cloud.Time, err error) {
	o := d.o
	for {
		apps, next := o.lanes.due(o.now(), o.o.MaxPerApp, send)
		if len(apps) == 0 {
			return next, nil
		}
		permits := by.TryEnter(min(max(*ask, 1), maxClaim))
		if permits == 0 {
			return 0, nil
		}
		rows, err := o.claim(ctx, apps, permits)
		for range permits - len(rows) {
			by.Leave()
		}
		if err != nil {
			return 0, err
		}
		o.start(rows)
		if *ask = max(1, len(rows)); len(rows) == permits {
			*ask = min(4**ask, maxClaim)
		}
	}
}

// sleep is the time until the next row is due (0: none is) or a lease runs out, at most a
// tick.
func (o *Outbox) sleep(now, next cloud.Time) time.Duration {
	wait := tick
	if next != 0 {
		wait = min(wait, time.Duration(max(next-now, 1))*time.Millisecond)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.running {
		wait = min(wait, max(time.Until(r.until), time.Millisecond))
	}
	return wait
}

// start runs claimed rows, each batch with a permit, on goroutines of their own.
func (o *Outbox) start(rows []*row) {
	o.mu.Lock()
	for _, first := range rows {
		for _, r := range first.all() {
			r.until = time.Now().Add(r.lease.Time().Sub(r.claimed.Time()))
			o.running[r.n] = r
		}
	}
	o.mu.Unlock()
	polite := o.o.Gate.Callers()
	for _, r := range rows {
		counted := !sends(r.lane) && o.quotas.count(r.app, o.now())
		o.workers.run(o.life, polite && !sends(r.lane), func() {
			if counted {
				defer o.ended(r.app)
			}
			o.work(r)
		})
	}
}

// work runs one claimed row, and those that run with it, to the end of the attempt.
func (o *Outbox) work(r *row) {
	if r.lane == "" && r.key == "" { // else it may have waited for its turn
		o.metrics.pickup.Observe(max(0, float64(o.now()-r.due)/1000))
	}
	o.metrics.begin(r.app, r.source)
	inv, err := r.invocation()
	a := &attempt{o: o, inv: inv, row: r, own: r.hold, permit: true, async: true}
	defer a.leave()
	defer o.settled(r.all()...)
	if err == nil {
		inv.Principal, err = o.principal(r)
	}
	var res *cloud.Result
	if err == nil {
		res = a.run()
	} else {
		a.leave()
		a.hopeless = cloud.KindOf(err) == cloud.NotFound || cloud.KindOf(err) == cloud.Invalid
		res = o.failedBefore(err, o.now())
		o.settleFailure(a, res)
		o.runner.Record(inv, res)
	}
	if cloud.KindOf(res.Err) == cloud.Internal {
		o.log.Error("execution failed", "app", r.app, "exec", inv.ID, "row", r.id, "err", res.Err)
	}
}

// principal is who a row runs as: the user who registered its trigger, or, when it never had
// one, who caused it, with the rights they have now; nobody for http. A trigger that is
// gone, or a user who is, is NotFound: no retry can bring them back. An inactive user may
// become active again.
func (o *Outbox) principal(r *row) (*cloud.Principal, error) {
	if r.source == cloud.SourceHTTP || sends(r.lane) {
		return nil, nil
	}
	if r.trigger.IsZero() {
		return o.originOf(r)
	}
	if r.registrant.IsZero() {
		if _, err := o.o.Scripts.Script(o.life, r.script); cloud.KindOf(err) == cloud.NotFound {
			return nil, cloud.Errorf(cloud.NotFound, "the script was deleted, and its trigger with it")
		}
		return nil, cloud.Errorf(cloud.NotFound, "the trigger was deleted while the event waited")
	}
	p, err := o.o.Principals.Principal(o.life, r.registrant)
	switch cloud.KindOf(err) {
	case "":
		return p, nil
	case cloud.NotFound:
		return nil, cloud.Errorf(cloud.NotFound, "the user who registered the trigger is gone: register it again as somebody else").WithCause(err)
	case cloud.Forbidden:
		return nil, cloud.Errorf(cloud.Forbidden, "the user who registered the trigger is inactive: activate them, or register it again as somebody else").WithCause(err)
	}
	return nil, err
}

// originOf is who caused a row; nil when that was nobody in particular.
func (o *Outbox) originOf(r *row) (*cloud.Principal, error) {
	if r.principal.IsZero() {
		return nil, nil
	}
	p, err := o.o.Principals.Principal(o.life, r.principal)
	switch cloud.KindOf(err) {
	case cloud.NotFound:
		return nil, cloud.Errorf(cloud.NotFound, "the user who caused this is gone").WithCause(err)
	case cloud.Forbidden:
		return nil, cloud.Errorf(cloud.Forbidden, "the user who caused this is inactive: activate them").WithCause(err)
	}
	return p, err
}
