package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"

	"picloud/app/cloud"
	"picloud/db"
)

// States of a row.
const (
	stateWaiting  = "waiting"
	stateRunning  = "running"
	stateRetrying = "retrying"
)

// listed is a row with what only some readers of it need.
type listed struct {
	cloud.Row
	n      int64
	parent cloud.ExecutionID
	token  claimToken
}

const listedColumns = `n, id, app_id, lane, coalesce(ordering_key, ''), source, op, trigger_id, script_id, trigger_depth, root_execution_id, parent_execution_id, attempt_count, attempts,
	next_attempt_at, coalesce(claimed_at, 0), coalesce(lease_until, 0), claim_token, created_at`

// scanListed reads a row with listedColumns, and more that follow.
func scanListed(rows *sql.Rows, more ...any) (*listed, error) {
	r := &listed{}
	var attempts []byte
	err := rows.Scan(append([]any{&r.n, &r.ID, &r.AppID, &r.Lane, &r.Key, &r.Source, &r.Op, &r.TriggerID, &r.ScriptID, &r.Depth, &r.RootExecutionID, &r.parent, &r.AttemptCount, &attempts,
		(*int64)(&r.NextAttemptAt), (*int64)(&r.ClaimedAt), (*int64)(&r.LeaseUntil), &r.token, (*int64)(&r.CreatedAt)}, more...)...)
	if err != nil {
		return nil, err
	}
	if r.Attempts, err = readHistory(attempts); r.Attempts == nil {
		r.Attempts = []cloud.Attempt{}
	}
	switch {
	case r.ClaimedAt != 0:
		r.State = stateRunning
	case r.AttemptCount > 0, len(r.Attempts) > 0: // also those that cost none
		r.State = stateRetrying
	default:
		r.State = stateWaiting
	}
	return r, err
}

// Rows lists waiting, running and retrying rows, oldest first.
func (o *Outbox) Rows(ctx context.Context, app cloud.AppID, p cloud.Page) (list []*cloud.Row, next string, err error) {
	after := int64(0)
	if p.Cursor != "" {
		if after, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil {
			return nil, "", errCursor
		}
	}
	var found []*listed
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		found, err = selectListed(rx, `WHERE app_id = ? AND n > ? ORDER BY n LIMIT ?`, app, after, p.Clamp()+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(found) > p.Clamp() {
		found = found[:p.Clamp()]
		next = strconv.FormatInt(found[len(found)-1].n, 10)
	}
	o.consuming(found...)
	list = make([]*cloud.Row, len(found))
	for i, r := range found {
		list[i] = &r.Row
	}
	return list, next, nil
}

func selectListed(rx *db.Rx, clause string, args ...any) ([]*listed, error) {
	rows, err := rx.Query(`SELECT `+listedColumns+` FROM outbox `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("list outbox: %w", err)
	}
	return scanAll(rows, func(rows *sql.Rows) (*listed, error) { return scanListed(rows) })
}

// consuming fills in what runs a queue's message: it is in memory alone.
func (o *Outbox) consuming(list ...*listed) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, x := range list {
		if r := o.running[x.n]; r != nil && r.token == x.token && consumed(r.lane) {
			x.TriggerID, x.ScriptID = r.trigger, r.script
		}
	}
}

// Cancel removes a row that is not running; a running one is a Conflict.
func (o *Outbox) Cancel(ctx context.Context, app cloud.AppID, id cloud.RowID) error {
	return o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		var lane, key string
		err := tx.QueryRow(`
			DELETE FROM outbox WHERE id = ? AND app_id = ? AND claimed_at IS NULL RETURNING lane, coalesce(ordering_key, '')`, id, app).Scan(&lane, &key)
		if err == nil {
			return o.unblock(tx, laneID{app, lane}, key)
		}
		if err != sql.ErrNoRows {
			return fmt.Errorf("cancel row: %w", err)
		}
		found, err := selectListed(tx.Rx, `WHERE id = ? AND app_id = ?`, id, app)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return cloud.Errorf(cloud.NotFound, "the app's outbox has no such row: it has run already, or was never there")
		}
		return cloud.Errorf(cloud.Conflict, "the row is running: it can be cancelled only while it waits")
	})
}

// execution shows a row as an execution that has not ended.
func (r *listed) execution() *cloud.Execution {
	x := &cloud.Execution{
		ID: cloud.ExecutionID(r.ID), AppID: r.AppID, ScriptID: r.ScriptID, Source: r.Source, Op: r.Op, TriggerID: r.TriggerID,
		RootExecutionID: r.RootExecutionID, ParentID: r.parent, EventID: r.ID, Depth: r.Depth, Attempt: r.AttemptCount,
		Status: cloud.StatusQueued, Logs: []cloud.LogLine{},
	}
	if r.State == stateRunning {
		x.Status, x.StartedAt = cloud.StatusRunning, r.ClaimedAt
		return x
	}
	x.NextAttemptAt = r.NextAttemptAt
	if n := len(r.Attempts); n > 0 {
		x.Error = &cloud.Trace{Message: r.Attempts[n-1].Error}
	}
	return x
}

// selectDead shows dead letters as executions: those whose event has not gone back into the
// outbox.
func selectDead(rx *db.Rx, clause string, args ...any) ([]*cloud.Execution, error) {
	rows, err := rx.Query(`
		SELECT id, original_event_id, app_id, source, op, trigger_id, script_id, trigger_depth, root_execution_id, parent_execution_id,
			attempt_count, first_attempt_at, last_attempt_at, last_error
		FROM dead_letters WHERE (resolution IS NULL OR resolution != 'replayed') AND `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("list dead letters: %w", err)
	}
	return scanAll(rows, func(rows *sql.Rows) (*cloud.Execution, error) {
		x := &cloud.Execution{Status: cloud.StatusDead, Logs: []cloud.LogLine{}, Error: &cloud.Trace{}}
		err := rows.Scan(&x.DeadLetterID, &x.EventID, &x.AppID, &x.Source, &x.Op, &x.TriggerID, &x.ScriptID, &x.Depth, &x.RootExecutionID, &x.ParentID,
			&x.Attempt, (*int64)(&x.StartedAt), (*int64)(&x.FinishedAt), &x.Error.Message)
		x.ID = cloud.ExecutionID(x.EventID)
		return x, err
	})
}

// Event tells the live state of an outbox row or of the dead letter it became, as an
// execution without logs: queued, running or dead. NotFound when it is neither any more.
func (o *Outbox) Event(ctx context.Context, id cloud.RowID) (x *cloud.Execution, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		live, err := selectListed(rx, `WHERE id = ?`, id)
		if err != nil {
			return err
		}
		if len(live) > 0 {
			o.consuming(live[0])
			x = live[0].execution()
			return nil
		}
		dead, err := selectDead(rx, `original_event_id = ? ORDER BY id DESC LIMIT 1`, id)
		if err != nil {
			return err
		}
		if len(dead) > 0 {
			x = dead[0]
		}
		return nil
	})
	if err != nil || x != nil {
		return x, err
	}
	if r := o.ending(id); r != nil {
		return r.execution(), nil
	}
	return nil, cloud.Errorf(cloud.NotFound, "no such event waits, runs or is dead")
}

// ending finds a row that is gone from the table while the log doesn't have its execution
// yet.
func (o *Outbox) ending(id cloud.RowID) *listed {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, r := range o.running {
		if r.id == id {
			x := &listed{parent: r.parent}
			x.Row = cloud.Row{
				ID: r.id, AppID: r.app, Lane: r.lane, Key: r.key, Source: r.source, Op: r.op, TriggerID: r.trigger, ScriptID: r.script, State: stateRunning,
				Depth: r.depth, RootExecutionID: r.root, AttemptCount: r.tried, Attempts: r.history, ClaimedAt: r.claimed,
			}
			return x
		}
	}
	return nil
}

// maxChain bounds EventsOf.
const maxChain = 1000

// EventsOf lists the live rows and dead letters of a chain, for GET /executions/{id}/chain:
// the oldest thousand of each.
func (o *Outbox) EventsOf(ctx context.Context, root cloud.ExecutionID) (events []*cloud.Execution, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		live, err := selectListed(rx, `WHERE root_execution_id = ? ORDER BY n LIMIT ?`, root, maxChain)
		if err != nil {
			return err
		}
		if events, err = selectDead(rx, `root_execution_id = ? ORDER BY id LIMIT ?`, root, maxChain); err != nil {
			return err
		}
		for _, r := range live {
			events = append(events, r.execution())
		}
		return nil
	})
	return events, err
}

// Stats is what GET /system and the metrics show of the outbox.
type Stats struct {
	Waiting, Running, Retrying int
	OldestDueSeconds           float64             // how long the row that is due longest has been so, but for rows in lanes of their own
	Unresolved                 map[cloud.AppID]int // dead letters

	queues []backlog // that have a trigger
}

// Stats counts rows, messages and open letters, from indexes alone.
func (o *Outbox) Stats(ctx context.Context) (s Stats, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		var all, unclaimed, blocked int
		var due int64
		err := rx.QueryRow(`
			SELECT (SELECT count(*) FROM outbox), (SELECT count(*) FROM outbox WHERE ordering_key IS NOT NULL AND blocked = 1),
				count(*), coalesce(sum(attempt_count > 0), 0), coalesce(min(CASE lane WHEN '' THEN next_attempt_at END), 0)
			FROM outbox WHERE claimed_at IS NULL AND blocked = 0`).Scan(&all, &blocked, &unclaimed, &s.Retrying, &due)
		if err != nil {
			return fmt.Errorf("count outbox rows: %w", err)
		}
		s.Waiting, s.Running, s.OldestDueSeconds = unclaimed+blocked-s.Retrying, all-unclaimed-blocked, 0
		if now := rx.Now.UnixMilli(); due != 0 && due < now {
			s.OldestDueSeconds = float64(now-due) / 1000
		}
		s.queues, err = backlogs(o, rx)
		return err
	})
	if err == nil {
		s.Unresolved, err = o.Unresolved(ctx)
	}
	return s, err
}
