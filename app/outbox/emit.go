package outbox

import (
	"context"

	"picloud/app/cloud"
	"picloud/db"
)

// Submit stores inv as a row and returns when that is durable. inv.ID names the event from
// then on: GET /executions/{id} tells its state. Each attempt has an execution id of its own.
func (o *Outbox) Submit(ctx context.Context, inv *cloud.Invocation) error {
	if err := o.o.Accept(); err != nil {
		return err
	}
	r, err := rowOf(inv)
	if err != nil {
		return err
	}
	r.id = cloud.RowID(inv.ID)
	r.retry = o.o.Retry
	return o.db.UpdateFor(ctx, r.cause(), func(_ context.Context, tx *db.Tx) error {
		if err := o.quotas.checkRows(tx, r.app, cloud.RateLimited); err != nil {
			return err
		}
		return o.insert(tx, r)
	})
}

// Emit inserts a row for every enabled trigger of the app that ev matches, in the
// transaction that makes the change, and wakes the dispatcher when that commits.
func (o *Outbox) Emit(_ context.Context, tx *db.Tx, from cloud.Origin, ev cloud.Event) error {
	return o.emit(tx, from, &event{Event: ev})
}

// event is what happened, as kinds match it.
type event struct {
	cloud.Event
	letter *row               // the row that became a dead letter
	about  cloud.DeadLetterID // that letter
}

func (o *Outbox) emit(tx *db.Tx, from cloud.Origin, ev *event) error {
	triggers, err := o.triggers.of(tx, from.App, ev.Source)
	if err != nil {
		return err
	}
	depth := depthFrom(from)
	root := from.Root
	for _, t := range triggers {
		if !t.kind.match(&t.Trigger, ev) {
			continue
		}
		if depth > o.o.MaxDepth {
			o.dropOnCommit(tx, drop{from.App, t.ID, root, depth})
			continue
		}
		r := &row{
			id: cloud.NewID[cloud.RowID](), app: from.App, source: ev.Source, op: ev.Op, trigger: t.ID, script: t.ScriptID,
			letter: ev.about, principal: from.Principal, depth: depth, root: root, parent: from.Execution,
			retry: retryOf(&t.Trigger), payload: ev.Payload,
		}
		if root.IsZero() {
			root = cloud.ExecutionID(r.id)
			r.root = root
		}
		if ev.about.IsZero() { // a letter must be written whatever the quota says
			if err := o.quotas.checkRows(tx, r.app, cloud.BudgetExceeded); err != nil {
				return err
			}
		}
		there, err := o.insertFor(tx, r)
		if err != nil {
			return err
		}
		if !there {
			o.triggers.drop(from.App)
		}
	}
	return nil
}

// drop is an event that was too deep for a trigger.
type drop struct {
	app     cloud.AppID
	trigger cloud.TriggerID
	root    cloud.ExecutionID
	depth   int
}

// dropOnCommit counts a drop and leaves it to the dispatcher to log: the writer must not
// wait for a log. When there are more than the log keeps up with, it misses some.
func (o *Outbox) dropOnCommit(tx *db.Tx, x drop) {
	tx.AfterCommit(func() {
		o.metrics.tooDeep.WithLabelValues(x.app.String(), x.trigger.String()).Inc()
		select {
		case o.drops <- x:
		default:
		}
	})
}
