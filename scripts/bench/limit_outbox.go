package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// limitOutbox compares the way of an event through the outbox, with an empty handler, with the
// statements that it can't do without on C SQLite: insert, claim, delete, eight rows to a commit.
func limitOutbox(limitOptions) (rows []comparison, cleanup func(), err error) {
	var closers []func()
	cleanup = func() {
		for _, c := range closers {
			c()
		}
	}
	for _, durability := range []db.Durability{db.Relaxed, db.Full} {
		dir, err := os.MkdirTemp("", "bench")
		if err != nil {
			return nil, cleanup, err
		}
		synchronous := map[db.Durability]string{db.Relaxed: "NORMAL", db.Full: "FULL"}[durability]
		var done atomic.Int64
		q, err := openOutbox(dir, synchronous, func(string) { done.Add(1) })
		if err != nil {
			return nil, cleanup, err
		}
		b, err := openBare(durability)
		if err != nil {
			return nil, cleanup, err
		}
		closers = append(closers, q.close, b.close, func() { os.RemoveAll(dir) })
		rows = append(rows, comparison{
			work: fmt.Sprintf("event: enqueue, claim, empty handler, acknowledge, %s, 8 producers", durability),
			ours: side{run: func(d time.Duration) (int, error) {
				before := done.Load()
				n, err := repeated(8, func(int) error { return q.enqueue(context.Background(), "job") })(d)
				for end := time.Now().Add(time.Minute); err == nil && done.Load() < before+int64(n) && time.Now().Before(end); {
					time.Sleep(time.Millisecond)
				}
				return n, err
			}},
			bare: []side{{name: "C SQLite, commits of 8", run: b.events(8)}},
		})
	}
	return rows, cleanup, nil
}

const (
	bareInsert = `INSERT INTO outbox (id, app_id, lane, ordering_key, blocked, source, op, trigger_id, script_id, dead_letter_id, origin_principal, trigger_depth,
	root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, next_attempt_at, created_at, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	bareClaim = `UPDATE outbox SET claimed_at = ?, claimed_by = ?, claim_token = ?, lease_until = ?, attempt_count = attempt_count + 1
WHERE n IN (SELECT n FROM outbox WHERE claimed_at IS NULL AND blocked = 0 AND app_id = ? AND lane = ? AND next_attempt_at <= ? ORDER BY next_attempt_at, n LIMIT ? + 0)
RETURNING n, payload`
	bareDelete = `DELETE FROM outbox WHERE n = ? AND claim_token = ?`
)

// events takes rows through the outbox, n to a commit; the claim doesn't sync, as ours.
func (b *bareSQLite) events(n int) func(time.Duration) (int, error) {
	return func(d time.Duration) (int, error) {
		rounds, err := repeated(1, func(int) error { return b.eventRound(n) })(d)
		return rounds * n, err
	}
}

func (b *bareSQLite) eventRound(n int) error {
	now := time.Now().UnixMilli()
	script, token := cloud.NewID[cloud.ScriptID](), cloud.NewID[cloud.RowID]()
	err := b.exec("BEGIN IMMEDIATE")
	for range n {
		id := cloud.NewID[cloud.ExecutionID]()
		err = errors.Join(err, b.exec(bareInsert, id, b.app, "", nil, 0, "http", "POST", nil, script, nil, nil, 0, id, nil, 3, "exponential", 1000, now, now,
			`{"source":"http","op":"POST","http":{"method":"POST","path":"/job","body":"job"}}`))
	}
	err = errors.Join(err, b.exec("COMMIT"))
	var claimed []int64
	rows, queryErr := b.stmt(bareClaim).Query(now, "bench", token, now+60_000, b.app, "", now, n)
	if err = errors.Join(err, queryErr); err != nil {
		return err
	}
	for rows.Next() {
		var row int64
		var payload []byte
		err = errors.Join(err, rows.Scan(&row, &payload))
		claimed = append(claimed, row)
	}
	err = errors.Join(err, rows.Close(), b.exec("BEGIN IMMEDIATE"))
	for _, row := range claimed {
		err = errors.Join(err, b.exec(bareDelete, row, token))
	}
	return errors.Join(err, b.exec("COMMIT"))
}
