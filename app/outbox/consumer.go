package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strings"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// consumer is the trigger that takes a queue's messages.
type consumer struct {
	trigger    cloud.TriggerID
	script     cloud.ScriptID
	registrant cloud.UserID
	retry      Retry
	batch      int
	most       int           // executions at once
	visibility time.Duration // of a message that was taken; 0: the script's time limit and grace
}

func (c *consumer) policy() policy { return policy{open: true, concurrency: c.most} }

// consumerOf is a queue's consumer, nil when it has none or is paused.
func consumerOf(rx *db.Rx, id laneID) (*consumer, error) {
	c := &consumer{}
	var seconds int64
	err := rx.QueryRow(`
		SELECT t.id, t.script_id, t.registered_by_principal, t.retry_max_attempts, t.retry_backoff, t.retry_base_ms,
			d.batch_size, d.concurrency, d.visibility_timeout_seconds
		FROM queue_trigger_details d JOIN triggers t ON t.id = d.trigger_id
		WHERE d.app_id = ? AND d.queue = ? AND t.enabled = 1
			AND NOT EXISTS (SELECT 1 FROM held_lanes h WHERE h.app_id = d.app_id AND h.lane = ? AND h.paused = 1)`,
		id.app, strings.TrimPrefix(id.name, queuePrefix), id.name).
		Scan(&c.trigger, &c.script, &c.registrant, &c.retry.MaxAttempts, &c.retry.Backoff, &c.retry.BaseMS, &c.batch, &c.most, &seconds)
	if err == sql.ErrNoRows {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for a queue's trigger: %w", err)
	}
	c.visibility = time.Duration(seconds) * time.Second
	return c, nil
}

// bind makes a message the consumer's: it runs for the trigger that is there when it is
// taken, whichever was there when it was sent.
func (c *consumer) bind(r *row) {
	r.trigger, r.script, r.registrant, r.retry = c.trigger, c.script, c.registrant, c.retry
}

// rebind binds a message that a process which is gone had taken: to the trigger that is there
// now, if there is one.
func (o *Outbox) rebind(tx *db.Tx, r *row) error {
	c, err := consumerOf(tx.Rx, r.laneID())
	if err == nil && c != nil {
		c.bind(r)
	}
	return err
}

// refreshLane makes what the dispatcher knows of a queue what tx has made of it.
func (o *Outbox) refreshLane(tx *db.Tx, id laneID) error {
	p, due, err := laneState(tx.Rx, id)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() { o.lanes.set(id, p, due) })
	return nil
}

// refreshQueues is refreshLane for every queue of an app that has a trigger.
func (o *Outbox) refreshQueues(tx *db.Tx, app cloud.AppID) error {
	rows, err := tx.Query(`SELECT queue FROM queue_trigger_details WHERE app_id = ?`, app)
	if err != nil {
		return fmt.Errorf("list queues: %w", err)
	}
	names, err := scanAll(rows, func(rows *sql.Rows) (name string, err error) { return name, rows.Scan(&name) })
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := o.refreshLane(tx, laneID{app, QueueLane(name)}); err != nil {
			return err
		}
	}
	return nil
}

func laneState(rx *db.Rx, id laneID) (p policy, due cloud.Time, err error) {
	c, err := consumerOf(rx, id)
	if err != nil || c == nil {
		return policy{}, 0, err
	}
	due, err = nextOf(rx, id)
	return c.policy(), due, err
}

// loadConsumers learns which queues are consumed.
func (o *Outbox) loadConsumers(ctx context.Context) error {
	return o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT d.app_id, d.queue FROM queue_trigger_details d JOIN triggers t ON t.id = d.trigger_id WHERE t.enabled = 1`)
		if err != nil {
			return fmt.Errorf("load the triggers of queues: %w", err)
		}
		ids, err := scanAll(rows, func(rows *sql.Rows) (id laneID, err error) {
			err = rows.Scan(&id.app, &id.name)
			id.name = QueueLane(id.name)
			return id, err
		})
		if err != nil {
			return err
		}
		for _, id := range ids {
			p, due, err := laneState(rx, id)
			if err != nil {
				return err
			}
			if p.open {
				o.lanes.set(id, p, due)
			}
		}
		return nil
	})
}

// lookAtQueues looks for messages of the queues that are consumed. One whose trigger has gone
// with its script or its app is left to a claim to find out: the next look would not see it
// if it were closed by mistake.
func (o *Outbox) lookAtQueues(rx *db.Rx) error {
	for _, id := range o.lanes.consumers() {
		p, due, err := laneState(rx, id)
		if err != nil {
			return err
		}
		if !p.open {
			due = cloud.TimeOf(rx.Now)
		}
		if due != 0 {
			o.lanes.add(id, due)
		}
	}
	return nil
}
