package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"slices"

	"picloud/app/cloud"
	"picloud/db"
)

// maxClaim is the most rows that one claim takes.
const maxClaim = 64

// claimRows takes a lane's due rows in the order in which they are due. It runs along
// outbox_due, so its cost depends neither on the backlog nor on what other lanes hold. The
// limit is an expression because SQLite plans a statement anew for each value of a plain
// LIMIT parameter.
const claimRows = `
UPDATE outbox SET claimed_at = ?, claimed_by = ?, claim_token = ?, lease_until = ?, attempt_count = attempt_count + 1
WHERE n IN (SELECT n FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = ? AND lane = ? AND next_attempt_at <= ? ORDER BY next_attempt_at, n LIMIT ? + 0)
RETURNING ` + claimedColumns + `,
	(SELECT registered_by_principal FROM triggers WHERE triggers.id = outbox.trigger_id)`

const claimedColumns = `n, id, app_id, lane, coalesce(ordering_key, ''), source, op, trigger_id, script_id, reply_to, dead_letter_id, origin_principal, trigger_depth,
	root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, attempt_count, attempts,
	next_attempt_at, claim_token, claimed_at, created_at, payload`

const earliestOfLane = `
SELECT next_attempt_at FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = ? AND lane = ? ORDER BY next_attempt_at, n LIMIT 1`

// claim takes due rows for up to most executions, shared fairly among the apps. It is the one
// place where rows are claimed: on another engine it would say FOR UPDATE SKIP LOCKED. Rows
// that run together are answered as the first of them, with the others in its batch.
//
// It is lazily durable: a claim that a power cut undoes has left no trace.
func (o *Outbox) claim(ctx context.Context, apps []share, most int) ([]*row, error) {
	var claimed []*row
	err := o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		claimed = claimed[:0]
		token := cloud.NewID[claimToken]()
		for i, app := range apps {
			fair := min(part(most-len(claimed), len(apps)-i), app.room)
			rows, err := o.claimOf(tx, app, token, fair)
			if err != nil {
				return err
			}
			claimed = append(claimed, rows...)
		}
		for _, r := range claimed {
			tx.CountFor(r.cause(), int64(1+len(r.batch)))
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim rows: %w", err)
	}
	slices.SortFunc(claimed, inOrder)
	return claimed, nil
}

func inOrder(a, b *row) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.n, b.n)) }

// part is a fair part of n for the first of so many.
func part(n, among int) int { return (n + among - 1) / among }

// claimOf claims rows of one app, shared among its lanes.
func (o *Outbox) claimOf(tx *db.Tx, app share, token claimToken, most int) (claimed []*row, err error) {
	for i, lane := range app.lanes {
		fair := min(part(most-len(claimed), len(app.lanes)-i), lane.room)
		if fair == 0 {
			break
		}
		rows, err := o.claimLane(tx, laneID{app.app, lane.name}, token, fair)
		if err != nil {
			return nil, err
		}
		claimed = append(claimed, rows...)
	}
	return claimed, nil
}

// claimLane claims rows of one lane for up to most executions and finds out when its next is
// due.
func (o *Outbox) claimLane(tx *db.Tx, id laneID, token claimToken, most int) ([]*row, error) {
	var rows []*row
	var err error
	if consumed(id.name) {
		c, err := consumerOf(tx.Rx, id)
		if err != nil || c == nil {
			tx.AfterCommit(func() { o.lanes.set(id, policy{}, 0) })
			return nil, err
		}
		rows, err = o.claimMessages(tx, id, c, token, most)
		if err != nil {
			return nil, err
		}
	} else if rows, err = o.claimDueRows(tx, id, token, most); err != nil {
		return nil, err
	}
	next, err := nextOf(tx.Rx, id)
	if err != nil {
		return nil, err
	}
	tx.AfterCommit(func() { o.lanes.took(id, len(rows), next) })
	return rows, nil
}

// claimMessages claims messages of a queue and makes batches of them.
func (o *Outbox) claimMessages(tx *db.Tx, id laneID, c *consumer, token claimToken, most int) ([]*row, error) {
	now := cloud.TimeOf(tx.Now)
	lease := now.Add(cmp.Or(c.visibility, timeoutOf(o.o.Scripts.ScriptTx(tx.Rx, c.script))+o.o.LeaseGrace))
	found, err := tx.Query(claimRows, int64(now), o.id, token, int64(lease), id.app, id.name, int64(now), most*c.batch)
	if err != nil {
		return nil, err
	}
	rows, err := scanClaimed(found)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(rows, inOrder)
	var batches []*row
	for batch := range slices.Chunk(rows, c.batch) {
		for _, r := range batch {
			c.bind(r)
			r.lease, r.lead = lease, batch[0].n
		}
		batch[0].batch = batch[1:]
		batches = append(batches, batch[0])
	}
	return batches, nil
}

// claimDueRows claims rows that run one by one.
func (o *Outbox) claimDueRows(tx *db.Tx, id laneID, token claimToken, most int) ([]*row, error) {
	now := cloud.TimeOf(tx.Now)
	lease := now.Add(defaultTimeout + o.o.LeaseGrace)
	found, err := tx.Query(claimRows, int64(now), o.id, token, int64(lease), id.app, id.name, int64(now), most)
	if err != nil {
		return nil, err
	}
	rows, err := scanClaimed(found)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		r.lease = now.Add(o.rowTimeoutTx(tx, r) + o.o.LeaseGrace)
		if r.lease == lease {
			continue
		}
		if _, err := tx.Exec(`UPDATE outbox SET lease_until = ? WHERE n = ?`, int64(r.lease), r.n); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

// nextOf is when a lane's first waiting row is due; 0: none waits.
func nextOf(rx *db.Rx, id laneID) (next cloud.Time, err error) {
	if err = rx.QueryRow(earliestOfLane, id.app, id.name).Scan((*int64)(&next)); err != nil && err != sql.ErrNoRows {
		return 0, fmt.Errorf("look for due rows: %w", err)
	}
	return next, nil
}

// scanClaimed reads and closes rows that have the columns of claimRows' RETURNING.
func scanClaimed(found *sql.Rows) ([]*row, error) {
	defer found.Close()
	var rows []*row
	for found.Next() {
		r := &row{}
		var history []byte
		err := found.Scan(&r.n, &r.id, &r.app, &r.lane, &r.key, &r.source, &r.op, &r.trigger, &r.script, &r.replyTo, &r.letter, &r.principal, &r.depth,
			&r.root, &r.parent, &r.retry.MaxAttempts, &r.retry.Backoff, &r.retry.BaseMS, &r.tried, &history,
			(*int64)(&r.due), &r.token, (*int64)(&r.claimed), (*int64)(&r.created), &r.payload, &r.registrant)
		if err != nil {
			return nil, err
		}
		if r.history, err = readHistory(history); err != nil {
			return nil, err
		}
		rows = append(rows, r)
	}
	return rows, found.Err()
}

// readHistory decodes a column of attempts.
func readHistory(b []byte) ([]cloud.Attempt, error) {
	if string(b) == "[]" {
		return nil, nil
	}
	var h []cloud.Attempt
	if err := json.Unmarshal(b, &h); err != nil {
		return nil, fmt.Errorf("decode attempts: %w", err)
	}
	return h, nil
}

// nextLane finds the lane that follows one, and when its first waiting row is due.
const nextLane = `
SELECT app_id, lane, next_attempt_at FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND (app_id, lane) > (?, ?)
ORDER BY app_id, lane, next_attempt_at, n LIMIT 1`

// earliest says when each lane's first waiting row is due: one step along outbox_due per
// lane, however many rows there are. It passes over the queues, of which there may be many
// that nobody consumes.
func earliest(rx *db.Rx, found func(laneID, cloud.Time)) error {
	var app cloud.AppID
	after, lane := app[:], "" // below every app
	for {
		var due int64
		err := rx.QueryRow(nextLane, after, lane).Scan(&app, &lane, &due)
		if err == sql.ErrNoRows {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for due rows: %w", err)
		}
		after = app[:]
		if consumed(lane) {
			lane = afterQueues
			continue
		}
		found(laneID{app, lane}, cloud.Time(due))
	}
}

// afterQueues is above the name of every queue's lane and below all others that follow.
var afterQueues = queuePrefix[:len(queuePrefix)-1] + string(queuePrefix[len(queuePrefix)-1]+1)
