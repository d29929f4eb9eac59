package outbox

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// attempt is one execution under way, of a waiting caller or of a claimed row.
type attempt struct {
	o   *Outbox
	inv *cloud.Invocation
	row *row                                // the first of its batch; nil for a caller whose row lives in memory
	own func(context.Context, *db.Tx) error // the Runner's hold; nil when there is no row

	refused map[cloud.RowID]bool // messages of the batch that the handler gave back

	permit bool // held
	async  bool // the permit is one of TryEnter, for the row's lane

	hopeless bool // it failed in a way that no retry can mend
	undone   bool // it never began, and its messages go back to their queue
}

// run runs the script, again after each conflict, until what it did is committed or it has
// failed; the end of a row's attempt is written in both cases. All failures are in the
// result, which is recorded.
func (a *attempt) run() *cloud.Result {
	res, err := a.untilSettled()
	if err != nil {
		res = failed(res, err)
		if a.row != nil {
			a.o.settleFailure(a, res)
		}
	}
	a.o.runner.Record(a.inv, res)
	return res
}

// untilSettled is run without the bookkeeping of failures.
func (a *attempt) untilSettled() (*cloud.Result, error) {
	defer a.leave()
	began := time.Now() // its monotonic reading: the wall clock may be set meanwhile
	res, err := a.once(a.o.life)
	var c Contended
	if err == nil || !errors.As(err, &c) {
		return res, err
	}
	return a.again(res, c, began)
}

// again re-runs an execution that conflicted until it doesn't, or its deadline comes. It is
// the same execution: same id, same attempt, same deadline.
func (a *attempt) again(res *cloud.Result, c Contended, began time.Time) (*cloud.Result, error) {
	started := res.Started
	if started.IsZero() {
		started = a.o.now()
	}
	ctx, cancel := context.WithDeadline(a.o.life, began.Add(a.o.timeout(a.o.life, a.inv.Script)))
	defer cancel()
	release := func() {}
	defer func() { release() }()
	for reruns := 1; ; reruns++ {
		next, err := a.turn(ctx, c)
		release()
		release = func() {}
		if err != nil {
			return res, a.outOfTime(ctx, err)
		}
		release = next
		a.o.metrics.reruns.WithLabelValues(a.inv.App.String()).Inc()
		overran := res.Overran
		res, err = a.once(ctx)
		res.Reruns = reruns
		res.Overran = res.Overran || overran
		res.DurationMS += float64(res.Started - started)
		res.Started = started
		if err == nil || !errors.As(err, &c) {
			if k := cloud.KindOf(err); k == cloud.Timeout || k == cloud.Overloaded { // cut short by ctx
				err = a.outOfTime(ctx, err)
			}
			return res, err
		}
	}
}

// turn queues up on the keys that made the execution conflict, without a permit meanwhile.
func (a *attempt) turn(ctx context.Context, c Contended) (release func(), err error) {
	a.leave()
	release, err = c.Turn(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.o.o.Gate.Reenter(ctx, a.inv.App); err != nil {
		release()
		return nil, err
	}
	a.permit = true
	return release, nil
}

// outOfTime is the error of an execution whose re-runs came to the end of its time.
func (a *attempt) outOfTime(ctx context.Context, err error) error {
	if a.o.life.Err() != nil {
		return errStopped.WithCause(err)
	}
	if ctx.Err() != nil {
		return cloud.Errorf(cloud.Conflict, "other executions kept changing what this one had read until its time was over: try again, or let fewer executions write the same keys").WithCause(err)
	}
	return err
}

// once runs the script and commits what it did.
func (a *attempt) once(ctx context.Context) (res *cloud.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			res = &cloud.Result{Started: a.o.now()}
			err = fmt.Errorf("panic in execution %s: %v\n%s", a.inv.ID, p, debug.Stack())
		}
	}()
	if a.row != nil && sends(a.row.lane) {
		if res, err = a.o.send(ctx, a.inv); err != nil {
			a.hopeless = noUse(err)
			return res, err
		}
		return res, a.commit(nil)
	}
	ctx, cancel := a.whileHeld(ctx)
	defer cancel()
	res, effects := a.o.runner.Run(ctx, a.inv, a.own)
	if effects != nil {
		defer effects.Close()
	}
	if res.Err != nil {
		gone := effects == nil && cloud.KindOf(res.Err) == cloud.NotFound // the script
		a.undone = gone && a.row != nil && consumed(a.row.lane)
		a.hopeless = gone && !a.undone
		return res, res.Err
	}
	if effects == nil || res.Discard || effects.Empty() {
		effects = nil
	}
	if err := a.readRefused(res); err != nil {
		return res, err
	}
	return res, a.commit(effects)
}

// whileHeld ends the context of an execution when its messages become visible again: from
// then on it could commit nothing.
func (a *attempt) whileHeld(ctx context.Context) (context.Context, context.CancelFunc) {
	if a.row == nil || !consumed(a.row.lane) {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, a.row.until)
}

// sized is what effects may also be: Size is the number of bytes that wait to be written.
type sized interface{ Size() int }

// smallEffects may wait for their commit without a permit: many executions then share one
// fsync, and what they hold in memory stays bounded all the same.
const smallEffects = 64 << 10

// commit makes the effects and the end of the row one transaction. A commit that has begun
// is not cancelled, whatever happens to the execution's context.
func (a *attempt) commit(effects Effects) error {
	if effects == nil {
		a.leave()
		if a.row == nil {
			return nil
		}
		return a.o.finish(a, nil)
	}
	effects.Close()
	if s, ok := effects.(sized); ok && s.Size() <= smallEffects {
		a.leave()
	}
	if a.row != nil {
		return a.o.finish(a, effects)
	}
	return a.o.db.UpdateFor(context.Background(), causeOf(a.inv), effects.Apply)
}

// causeOf is who an execution's changes are counted for.
func causeOf(inv *cloud.Invocation) db.Cause {
	return db.Cause{App: inv.App, Script: inv.Script, Trigger: inv.Trigger}
}

// leave gives back the permit, if one is held.
func (a *attempt) leave() {
	if !a.permit {
		return
	}
	a.permit = false
	if a.async {
		a.async = false // a re-run's permit is a caller's
		a.o.lanes.left(a.row.laneID())
		if sends(a.row.lane) {
			a.o.sending.Leave()
		} else {
			a.o.o.Gate.Leave()
		}
		return
	}
	a.o.o.Gate.Exit(a.inv.App)
}

var errStopped = cloud.Errorf(cloud.Overloaded, "the instance is stopping: try again in a moment")

// failed is what becomes of a result when the execution failed with err, even if the script
// itself had succeeded.
func failed(res *cloud.Result, err error) *cloud.Result {
	res.Err = err
	res.StatusCode = cloud.KindOf(err).Status()
	res.Header, res.Body, res.Discard = nil, nil, false
	return res
}

// reason is a failure as the history of attempts tells it.
func reason(res *cloud.Result) string {
	if t := res.Trace; t != nil && t.Message != "" {
		if t.Line > 0 {
			return clip(fmt.Sprintf("%s (%s:%d:%d)", t.Message, t.File, t.Line, t.Column), maxReason)
		}
		return clip(t.Message, maxReason)
	}
	return clip(cloud.Message(res.Err), maxReason)
}

const maxReason = 2 << 10 // bytes

// failedBefore is the result of an execution that failed without having run.
func (o *Outbox) failedBefore(err error, at cloud.Time) *cloud.Result {
	return failed(&cloud.Result{Started: at}, err)
}
