package outbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// finish removes the rows of an attempt that succeeded, with the attempt's effects (nil:
// none), in one transaction. It is lazily durable: what a power cut undoes runs again, for
// the rows and the effects come back together; unless a caller waits for it.
func (o *Outbox) finish(a *attempt, effects Effects) error {
	r, update := a.row, o.db.UpdateLazy
	if !r.replyTo.IsZero() && effects != nil {
		update = o.db.Update
	}
	return update(context.Background(), func(ctx context.Context, tx *db.Tx) error {
		tx.CountFor(causeOf(a.inv), 1)
		for _, r := range r.all() {
			if err := o.acknowledge(tx, a, r); err != nil {
				return err
			}
		}
		if effects != nil {
			if err := effects.Apply(ctx, tx); err != nil {
				return err
			}
		}
		if r.handler() {
			return noteHandled(tx, r.letter)
		}
		return nil
	})
}

// acknowledge removes one row of an attempt that succeeded, unless its handler gave it back.
func (o *Outbox) acknowledge(tx *db.Tx, a *attempt, r *row) error {
	if !a.refused[r.id] {
		return o.remove(tx, r)
	}
	return o.fail(tx, unsettled{row: r, attempt: cloud.Attempt{At: r.claimed, ExecutionID: a.inv.ID, Error: "the handler answered that this message failed"}})
}

// settled forgets rows that no worker of ours has any more. A worker calls it after it has
// recorded its execution, so that an event is always found: as a row, here, or in the log.
func (o *Outbox) settled(rows ...*row) {
	o.mu.Lock()
	for _, r := range rows {
		if o.running[r.n] == r { // else another attempt has it
			delete(o.running, r.n)
		}
	}
	o.mu.Unlock()
}

// unsettled is the end of a failed attempt that is to be written.
type unsettled struct {
	row      *row
	attempt  cloud.Attempt
	hopeless bool          // no retry can help
	undone   bool          // the attempt never began: it doesn't count
	atOnce   bool          // the script isn't to blame: no wait before the next attempt
	after    time.Duration // the failure says how long to wait; 0: it doesn't
	free     bool          // it costs no attempt
}

// maxHistory bounds the history of a row whose attempts aren't counted.
const maxHistory = 100

// history is that of the row, with this attempt. One that costs nothing and failed like the
// one before takes its place; the first one stays, for it tells since when.
func (u *unsettled) history() []cloud.Attempt {
	h := u.row.history
	if n := len(h); u.free && n > 1 && (h[n-1].Error == u.attempt.Error || n >= maxHistory) {
		h = h[:n-1]
	}
	return append(h[:len(h):len(h)], u.attempt)
}

// settleFailure writes the end of an attempt that failed. What can't be written now (a full
// disk) is left to the dispatcher's loop.
func (o *Outbox) settleFailure(a *attempt, res *cloud.Result) {
	var ends []unsettled
	for _, r := range a.row.all() {
		ends = append(ends, unsettled{
			row:      r,
			attempt:  cloud.Attempt{At: res.Started, ExecutionID: a.inv.ID, DurationMS: res.DurationMS, Error: reason(res)},
			hopeless: a.hopeless,
			undone:   a.undone,
			atOnce:   o.life.Err() != nil,
			after:    retryAfter(res.Err),
			free:     uncounted(res.Err) || cloud.Passing(res.Err),
		})
	}
	if err := o.settle(context.Background(), ends...); err != nil {
		o.mu.Lock()
		o.stranded = append(o.stranded, ends...)
		o.mu.Unlock()
		o.lanes.signal()
	}
	if a.row.handler() {
		o.log.Warn("the handler of a dead letter failed; the letter stays open", "app", a.row.app, "dead_letter", a.row.letter, "exec", a.inv.ID, "err", reason(res))
	}
}

// settle writes the ends of failed attempts. A claim that is lost has nothing to write.
func (o *Outbox) settle(ctx context.Context, ends ...unsettled) error {
	err := o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		for _, u := range ends {
			tx.CountFor(u.row.cause(), 1)
			if err := o.fail(tx, u); err != nil && !errors.Is(err, errLost) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("write the end of an attempt: %w", err)
	}
	return nil
}

// settleStranded writes what settleFailure couldn't.
func (o *Outbox) settleStranded(ctx context.Context) error {
	for {
		o.mu.Lock()
		if len(o.stranded) == 0 {
			o.mu.Unlock()
			return nil
		}
		u := o.stranded[0]
		o.mu.Unlock()
		if err := o.settle(ctx, u); err != nil {
			return err
		}
		o.mu.Lock()
		o.stranded = o.stranded[1:]
		o.mu.Unlock()
	}
}

// expireLeases takes rows away from workers that have outlived their lease. Such a worker
// keeps its permit until it ends, but can commit nothing any more.
func (o *Outbox) expireLeases(ctx context.Context) error {
	now := o.now()
	var expired []*row
	o.mu.Lock()
	for _, r := range o.running {
		if !time.Now().Before(r.until) {
			expired = append(expired, r)
		}
	}
	o.mu.Unlock()
	for _, r := range expired {
		u := unsettled{row: r, attempt: cloud.Attempt{At: r.claimed, ExecutionID: r.exec(), DurationMS: float64(now - r.claimed), Error: "the attempt outlived its lease"}}
		if err := o.settle(ctx, u); err != nil {
			return err
		}
		o.settled(r)
		o.log.Warn("lease ran out", "app", r.app, "exec", r.exec(), "row", r.id)
	}
	return nil
}

// fail writes what becomes of a row after a failed attempt: a retry, or a dead letter; a
// note on the letter for a handler; nothing for a caller, who has the answer.
func (o *Outbox) fail(tx *db.Tx, u unsettled) error {
	r := u.row
	if u.undone {
		return o.putBack(tx, r)
	}
	history := u.history()
	more := r.tried < r.retry.MaxAttempts
	if u.free {
		more = tx.Now.Sub(history[0].At.Time()) < o.o.SendPatience
	}
	if more && !u.hopeless && !r.handler() && r.replyTo.IsZero() {
		return o.retryLater(tx, u, history)
	}
	if err := o.remove(tx, r); err != nil {
		return err
	}
	switch {
	case r.handler():
		tx.AfterCommit(o.metrics.handlerFailures.WithLabelValues(r.app.String()).Inc)
		return noteHandlerFailed(tx, r.letter, u.attempt.Error)
	case !r.replyTo.IsZero():
		return nil
	}
	return o.bury(tx, r, history)
}

// putBackFor keeps what was put back from being claimed again at once.
const putBackFor = time.Second

// putBack releases a row as if it had not been claimed.
func (o *Outbox) putBack(tx *db.Tx, r *row) error {
	due := cloud.TimeOf(tx.Now).Add(putBackFor)
	res, err := tx.Exec(`
		UPDATE outbox SET claimed_at = NULL, claimed_by = NULL, claim_token = NULL, lease_until = NULL,
			attempt_count = attempt_count - 1, next_attempt_at = ?
		WHERE n = ? AND claim_token = ?`, int64(due), r.n, r.token)
	if err != nil {
		return fmt.Errorf("put back an outbox row: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return orLost(err)
	}
	o.wakeOnCommit(tx, r.laneID(), due)
	return nil
}

// retryLater releases the row for its next attempt.
func (o *Outbox) retryLater(tx *db.Tx, u unsettled, history []cloud.Attempt) error {
	r, due := u.row, cloud.TimeOf(tx.Now)
	switch {
	case u.atOnce:
	case u.after > 0:
		due = due.Add(u.after)
	default:
		retry := r.retry
		retry.JitterPct = o.o.Retry.JitterPct
		due = due.Add(retry.wait(r.tried))
	}
	attempts, err := json.Marshal(history)
	if err != nil {
		return err
	}
	tried := r.tried
	if u.free {
		tried--
	}
	res, err := tx.Exec(`
		UPDATE outbox SET claimed_at = NULL, claimed_by = NULL, claim_token = NULL, lease_until = NULL, next_attempt_at = ?, attempt_count = ?, attempts = ?
		WHERE n = ? AND claim_token = ?`, int64(due), tried, string(attempts), r.n, r.token)
	if err != nil {
		return fmt.Errorf("release outbox row: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return orLost(err)
	}
	tx.AfterCommit(o.metrics.retries.Inc)
	o.wakeOnCommit(tx, r.laneID(), due)
	return nil
}

// release gives up the claims of processes that are gone. The broken attempt is in the row's
// history; a caller's row becomes an abandoned execution.
func (o *Outbox) release(ctx context.Context) error {
	held, err := o.held(ctx)
	if err != nil || len(held) == 0 {
		return err
	}
	for _, n := range held {
		if err := o.releaseRow(ctx, n); err != nil {
			return fmt.Errorf("release rows of a process that is gone: %w", err)
		}
	}
	o.log.Info("released rows of a process that is gone", "rows", len(held))
	return nil
}

// held lists claimed rows: those that are neither in the index of the unclaimed nor blocked.
// All lists come from indexes; reading the rows themselves could take long.
func (o *Outbox) held(ctx context.Context) (held []int64, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		held = nil
		var claimed int
		err := rx.QueryRow(`SELECT (SELECT count(*) FROM outbox) - (SELECT count(*) FROM outbox WHERE claimed_at IS NULL AND blocked = 0) -
			(SELECT count(*) FROM outbox WHERE ordering_key IS NOT NULL AND blocked = 1)`).Scan(&claimed)
		if err != nil || claimed == 0 {
			return err
		}
		found, err := rx.Query(`SELECT n FROM outbox EXCEPT SELECT n FROM outbox WHERE claimed_at IS NULL AND blocked = 0
			EXCEPT SELECT n FROM outbox WHERE ordering_key IS NOT NULL AND blocked = 1`)
		if err != nil {
			return err
		}
		defer found.Close()
		for found.Next() {
			var n int64
			if err := found.Scan(&n); err != nil {
				return err
			}
			held = append(held, n)
		}
		return found.Err()
	})
	return held, err
}

// releaseRow ends the attempt of one claimed row, unless the claim is ours.
func (o *Outbox) releaseRow(ctx context.Context, n int64) error {
	var r *row
	var res *cloud.Result
	err := o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		r = nil
		found, err := tx.Query(`
			SELECT `+claimedColumns+`, NULL FROM outbox WHERE n = ? AND claimed_by != ?`, n, o.id)
		if err != nil {
			return err
		}
		rows, err := scanClaimed(found)
		if err != nil || len(rows) == 0 {
			return err
		}
		r = rows[0]
		tx.CountFor(r.cause(), 1)
		if consumed(r.lane) {
			if err := o.rebind(tx, r); err != nil {
				return err
			}
		}
		res = o.failedBefore(errBroken, r.claimed)
		if !r.replyTo.IsZero() {
			return o.abandonRow(tx, r, res)
		}
		return o.fail(tx, unsettled{
			row:     r,
			attempt: cloud.Attempt{At: r.claimed, ExecutionID: r.exec(), Error: errBroken.Msg},
			atOnce:  true,
		})
	})
	if err != nil || r == nil {
		return err
	}
	inv, _ := r.invocation() // what it can't decode it leaves out
	if !r.replyTo.IsZero() {
		inv.ID = cloud.ExecutionID(r.id)
	}
	o.runner.Record(inv, res)
	return nil
}

// errBroken is why an attempt failed that a kill or a power cut broke: nothing is wrong inside.
var errBroken = cloud.Errorf(cloud.Overloaded, "the process stopped during the attempt")
