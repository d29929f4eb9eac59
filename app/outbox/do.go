package outbox

import (
	"context"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// Do runs inv for a caller who waits: one attempt, through the inbox, never retried. All
// failures are in the result. When the caller goes (ctx ends) before the execution has
// begun, it doesn't begin; after that it runs to its end all the same, and its result is
// kept as an abandoned execution.
//
// The inbox is the caller's own stack: the execution runs on the caller's goroutine, which
// spares two switches and a channel on the hottest path there is. The row of the outbox that
// it is in spirit exists only with Options.SyncOutbox "table".
func (o *Outbox) Do(ctx context.Context, inv *cloud.Invocation) *cloud.Result {
	o.callers.Add(1)
	defer o.callerLeft()
	if o.life.Err() != nil {
		return o.failedBefore(errStopped, o.now())
	}
	counted, err := o.quotas.begin(inv.App, o.now())
	if err != nil {
		return o.failedBefore(err, o.now())
	}
	if counted {
		defer o.ended(inv.App)
	}
	if err := o.o.Gate.Enter(ctx, inv.App); err != nil {
		return o.failedBefore(err, o.now())
	}
	o.metrics.begin(inv.App, inv.Source)
	a := attempt{o: o, inv: inv, permit: true}
	defer a.leave()
	inv.Attempt = 1
	if inv.Key == "" {
		inv.Key = inv.ID.String()
	}
	if o.o.SyncOutbox == SyncTable {
		if err := a.store(ctx); err != nil {
			return failed(&cloud.Result{Started: o.now()}, err)
		}
	}
	res := a.run()
	if ctx.Err() != nil {
		o.abandon(inv, res)
	}
	return res
}

// ended gives back what quotas counted, and lets rows of the app have the room.
func (o *Outbox) ended(app cloud.AppID) {
	o.quotas.end(app)
	o.lanes.poke(app)
}

func (o *Outbox) callerLeft() {
	if o.callers.Add(-1) == 0 && o.stopping.Load() {
		select {
		case o.idle <- struct{}{}:
		default:
		}
	}
}

// store writes the caller's row, claimed from the start.
func (a *attempt) store(ctx context.Context) error {
	r, err := rowOf(a.inv)
	if err != nil {
		return err
	}
	r.id = cloud.RowID(a.inv.ID)
	r.replyTo = cloud.NewID[inboxID]()
	r.retry = Retry{MaxAttempts: 1, Backoff: Constant}
	r.token = cloud.NewID[claimToken]()
	lease := a.o.timeout(ctx, a.inv.Script) + a.o.o.LeaseGrace
	if err := a.o.db.UpdateFor(ctx, causeOf(a.inv), func(ctx context.Context, tx *db.Tx) error {
		return r.insertClaimed(tx, a.o.id, lease)
	}); err != nil {
		return err
	}
	a.row, a.own = r, r.hold
	a.inv.Row = r.id
	return nil
}

// abandon keeps a result that nobody waited for any more.
func (o *Outbox) abandon(inv *cloud.Invocation, res *cloud.Result) {
	x := abandoned{app: inv.App, exec: inv.ID, script: inv.Script, inbox: cloud.NewID[inboxID](), status: res.StatusCode, summary: summary(res)}
	err := o.db.UpdateLazy(context.Background(), func(_ context.Context, tx *db.Tx) error {
		tx.CountFor(causeOf(inv), 1)
		return x.insert(tx, o.metrics)
	})
	if err != nil {
		o.log.Warn("keep an abandoned execution", "app", inv.App, "exec", inv.ID, "err", err)
	}
}

const maxSummary = 1 << 10 // bytes

// summary is the beginning of what a result answered.
func summary(res *cloud.Result) string {
	if res.Err != nil {
		return reason(res)
	}
	if !utf8.Valid(res.Body) {
		return "(bytes that are no text)"
	}
	if res.Redact != nil {
		return clip(res.Redact(string(res.Body)), maxSummary)
	}
	return clip(string(res.Body), maxSummary)
}

// clip cuts s to at most n bytes, between characters.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
