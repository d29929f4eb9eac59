package outbox

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strconv"

	"picloud/app/cloud"
	"picloud/db"
)

// nextQueue finds the name that follows one among the queues that hold messages, have a
// trigger or are paused.
const nextQueue = `
SELECT min(name) FROM (
	SELECT (SELECT substr(lane, 7) FROM outbox WHERE lane <> '' AND app_id = ?1 AND lane > 'queue:' || ?2 AND lane < 'queue;' ORDER BY lane LIMIT 1) AS name
	UNION ALL
	SELECT (SELECT queue FROM queue_trigger_details WHERE app_id = ?1 AND queue > ?2 ORDER BY queue LIMIT 1)
	UNION ALL
	SELECT (SELECT substr(lane, 7) FROM held_lanes WHERE app_id = ?1 AND lane > 'queue:' || ?2 AND lane < 'queue;' AND paused = 1 ORDER BY lane LIMIT 1)
)`

// Queues lists the queues of an app that hold messages, have a trigger or are paused, by
// name. It counts their messages, so it takes the longer the more there are.
func (o *Outbox) Queues(ctx context.Context, app cloud.AppID, p cloud.Page) (queues []*cloud.Queue, next string, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		queues, next = []*cloud.Queue{}, ""
		after := p.Cursor
		for {
			var name sql.NullString
			if err := rx.QueryRow(nextQueue, app, after).Scan(&name); err != nil {
				return fmt.Errorf("list queues: %w", err)
			}
			if !name.Valid {
				return nil
			}
			if len(queues) == p.Clamp() {
				next = after
				return nil
			}
			q, err := o.queueOf(rx, app, name.String)
			if err != nil {
				return err
			}
			queues = append(queues, q)
			after = name.String
		}
	})
	return queues, next, err
}

// queueOf counts what is in a queue, from indexes.
func (o *Outbox) queueOf(rx *db.Rx, app cloud.AppID, name string) (*cloud.Queue, error) {
	q, lane := &cloud.Queue{Name: name}, QueueLane(name)
	var waiting int
	err := rx.QueryRow(`
		SELECT (SELECT count(*) FROM outbox WHERE lane <> '' AND app_id = ?1 AND lane = ?2),
			(SELECT count(*) FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = ?1 AND lane = ?2)
				+ (SELECT count(*) FROM outbox WHERE ordering_key IS NOT NULL AND app_id = ?1 AND lane = ?2 AND blocked = 1),
			(SELECT count(*) FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = ?1 AND lane = ?2 AND next_attempt_at > ?3),
			coalesce((SELECT created_at FROM outbox WHERE lane <> '' AND app_id = ?1 AND lane = ?2 ORDER BY n LIMIT 1), 0),
			EXISTS (SELECT 1 FROM held_lanes WHERE app_id = ?1 AND lane = ?2 AND paused = 1),
			(SELECT trigger_id FROM queue_trigger_details WHERE app_id = ?1 AND queue = ?4)`,
		app, lane, rx.Now.UnixMilli(), name).
		Scan(&q.Length, &waiting, &q.Delayed, (*int64)(&q.OldestAt), &q.Paused, &q.TriggerID)
	if err != nil {
		return nil, fmt.Errorf("count messages: %w", err)
	}
	q.InFlight = q.Length - waiting
	return q, nil
}

// Messages lists what is in a queue, oldest first, and takes nothing out of it.
func (o *Outbox) Messages(ctx context.Context, app cloud.AppID, queue string, p cloud.Page) (messages []*cloud.QueueMessage, next string, err error) {
	after := int64(0)
	if p.Cursor != "" {
		if after, err = strconv.ParseInt(p.Cursor, 10, 64); err != nil {
			return nil, "", errCursor
		}
	}
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		messages, next = []*cloud.QueueMessage{}, ""
		rows, err := rx.Query(`SELECT `+listedColumns+`, payload FROM outbox WHERE lane <> '' AND app_id = ? AND lane = ? AND n > ? ORDER BY n LIMIT ?`,
			app, QueueLane(queue), after, p.Clamp()+1)
		if err != nil {
			return fmt.Errorf("list messages: %w", err)
		}
		defer rows.Close()
		bytes := 0
		for rows.Next() {
			var payload []byte
			r, err := scanListed(rows, &payload)
			if err != nil {
				return err
			}
			if len(messages) == p.Clamp() || bytes > maxPeek {
				next = strconv.FormatInt(after, 10)
				return nil
			}
			messages = append(messages, r.message(queue, payload))
			after, bytes = r.n, bytes+len(payload)
		}
		return rows.Err()
	})
	return messages, next, err
}

// maxPeek makes a page of large messages shorter.
const maxPeek = 8 << 20

func (r *listed) message(queue string, payload []byte) *cloud.QueueMessage {
	m := &cloud.QueueMessage{
		ID: r.ID, Queue: queue, Body: json.RawMessage("null"), Key: r.Key, State: r.State, AttemptCount: r.AttemptCount,
		Attempts: r.Attempts, NextAttemptAt: r.NextAttemptAt, EnqueuedAt: r.CreatedAt,
	}
	if ev, err := (&row{payload: payload}).messages(); err == nil {
		m.Body, m.EnqueuedAt = ev.Queue.Messages[0].Body, ev.Queue.Messages[0].EnqueuedAt
	}
	return m
}

// purgeBatch is how many messages one transaction of a purge deletes.
const purgeBatch = 500

// Purge deletes the messages of a queue that were in it when it began, but for those that an
// execution holds. It works in batches, between which others get their turn.
func (o *Outbox) Purge(ctx context.Context, app cloud.AppID, queue string) error {
	id := laneID{app, QueueLane(queue)}
	var last int64
	err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT coalesce((SELECT n FROM outbox WHERE lane <> '' AND app_id = ? AND lane = ? ORDER BY n DESC LIMIT 1), 0)`, app, id.name).Scan(&last)
	})
	for done := err != nil; !done; {
		err = o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
			n, err := o.purgeSome(tx, id, last)
			done = n < purgeBatch
			return err
		})
		done = done || err != nil
	}
	if err != nil {
		return fmt.Errorf("purge queue: %w", err)
	}
	return nil
}

// purgeSome deletes one batch and counts it.
func (o *Outbox) purgeSome(tx *db.Tx, id laneID, last int64) (n int, err error) {
	rows, err := tx.Query(`
		DELETE FROM outbox WHERE n IN (
			SELECT n FROM outbox WHERE lane <> '' AND app_id = ? AND lane = ? AND n <= ? AND claimed_at IS NULL ORDER BY n LIMIT ?)
		RETURNING coalesce(ordering_key, '')`, id.app, id.name, last, purgeBatch)
	if err != nil {
		return 0, err
	}
	keys, err := scanAll(rows, func(rows *sql.Rows) (key string, err error) { return key, rows.Scan(&key) })
	if err != nil {
		return 0, err
	}
	unblocked := map[string]bool{}
	for _, key := range keys {
		if unblocked[key] {
			continue
		}
		unblocked[key] = true
		if err := o.unblock(tx, id, key); err != nil {
			return 0, err
		}
	}
	return len(keys), nil
}

// Pause keeps a queue's messages from being taken until Resume, across restarts. What runs
// goes on to its end.
func (o *Outbox) Pause(ctx context.Context, app cloud.AppID, queue string) error {
	return o.setPaused(ctx, app, queue, true)
}

// Resume undoes Pause.
func (o *Outbox) Resume(ctx context.Context, app cloud.AppID, queue string) error {
	return o.setPaused(ctx, app, queue, false)
}

func (o *Outbox) setPaused(ctx context.Context, app cloud.AppID, queue string, paused bool) error {
	if err := checkQueueName(queue); err != nil {
		return err
	}
	id := laneID{app, QueueLane(queue)}
	return o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(`
			INSERT INTO held_lanes (app_id, lane, paused) VALUES (?, ?, ?)
			ON CONFLICT (app_id, lane) DO UPDATE SET paused = excluded.paused`, app, id.name, paused)
		if err != nil {
			return fmt.Errorf("pause queue: %w", err)
		}
		return o.refreshLane(tx, id)
	})
}

// backlog is what the metrics tell of a queue.
type backlog struct {
	cloud.Queue
	app cloud.AppID
}

// backlogs counts the messages of queues that have a trigger.
func backlogs(o *Outbox, rx *db.Rx) ([]backlog, error) {
	rows, err := rx.Query(`SELECT app_id, queue FROM queue_trigger_details`)
	if err != nil {
		return nil, fmt.Errorf("list queues: %w", err)
	}
	list, err := scanAll(rows, func(rows *sql.Rows) (x backlog, err error) { return x, rows.Scan(&x.app, &x.Name) })
	for i := range list {
		q, err := o.queueOf(rx, list[i].app, list[i].Name)
		if err != nil {
			return nil, err
		}
		list[i].Queue = *q
	}
	return list, err
}
