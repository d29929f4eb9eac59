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

// claimRows takes an app's due rows in the order in which they are due. It runs along
// outbox_due, so its cost doesn't depend on the backlog. The limit is an expression because
// SQLite plans a statement anew for each value of a plain LIMIT parameter.
const claimRows = `
UPDATE outbox SET claimed_at = ?, claimed_by = ?, claim_token = ?, lease_until = ?, attempt_count = attempt_count + 1
WHERE n IN (SELECT n FROM outbox WHERE claimed_at IS NULL AND app_id = ? AND next_attempt_at <= ? ORDER BY next_attempt_at, n LIMIT ? + 0)
RETURNING n, id, app_id, source, op, trigger_id, script_id, reply_to, dead_letter_id, origin_principal, trigger_depth,
	root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, attempt_count, attempts,
	next_attempt_at, claim_token, claimed_at, payload,
	(SELECT registered_by_principal FROM triggers WHERE triggers.id = outbox.trigger_id)`

const earliestOfApp = `
SELECT next_attempt_at FROM outbox WHERE claimed_at IS NULL AND app_id = ? ORDER BY next_attempt_at, n LIMIT 1`

// claim takes up to most due rows, shared fairly among the apps. It is the one place where
// rows are claimed: on another engine it would say FOR UPDATE SKIP LOCKED.
//
// It is lazily durable: a claim that a power cut undoes has left no trace.
func (o *Outbox) claim(ctx context.Context, apps []share, most int) ([]*row, error) {
	var claimed []*row
	err := o.db.UpdateLazy(ctx, func(ctx context.Context, tx *db.Tx) error {
		claimed = claimed[:0]
		token := cloud.NewID[claimToken]()
		for i, app := range apps {
			fair := (most - len(claimed) + len(apps) - i - 1) / (len(apps) - i)
			if fair = min(fair, app.room); fair == 0 {
				break
			}
			rows, err := o.claimOf(ctx, tx, app.app, token, fair)
			if err != nil {
				return err
			}
			claimed = append(claimed, rows...)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("claim rows: %w", err)
	}
	slices.SortFunc(claimed, func(a, b *row) int { return cmp.Or(cmp.Compare(a.due, b.due), cmp.Compare(a.n, b.n)) })
	return claimed, nil
}

// claimOf claims rows of one app and finds out when its next is due.
func (o *Outbox) claimOf(ctx context.Context, tx *db.Tx, app cloud.AppID, token claimToken, most int) ([]*row, error) {
	now := cloud.TimeOf(tx.Now)
	lease := now.Add(defaultTimeout + o.o.LeaseGrace)
	found, err := tx.Query(claimRows, int64(now), o.id, token, int64(lease), app, int64(now), most)
	if err != nil {
		return nil, err
	}
	rows, err := scanClaimed(found)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		r.lease = now.Add(o.timeout(ctx, r.script) + o.o.LeaseGrace)
		if r.lease == lease {
			continue
		}
		if _, err := tx.Exec(`UPDATE outbox SET lease_until = ? WHERE n = ?`, int64(r.lease), r.n); err != nil {
			return nil, err
		}
	}
	var next int64
	if err := tx.QueryRow(earliestOfApp, app).Scan(&next); err != nil && err != sql.ErrNoRows {
		return nil, err
	}
	tx.AfterCommit(func() { o.lanes.took(app, len(rows), cloud.Time(next)) })
	return rows, nil
}

// scanClaimed reads and closes rows that have the columns of claimRows' RETURNING.
func scanClaimed(found *sql.Rows) ([]*row, error) {
	defer found.Close()
	var rows []*row
	for found.Next() {
		r := &row{}
		var history []byte
		err := found.Scan(&r.n, &r.id, &r.app, &r.source, &r.op, &r.trigger, &r.script, &r.replyTo, &r.letter, &r.principal, &r.depth,
			&r.root, &r.parent, &r.retry.MaxAttempts, &r.retry.Backoff, &r.retry.BaseMS, &r.tried, &history,
			(*int64)(&r.due), &r.token, (*int64)(&r.claimed), &r.payload, &r.registrant)
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

// earliest says when each app's first waiting row is due: one step along outbox_due per app,
// however many rows there are.
func earliest(rx *db.Rx, found func(cloud.AppID, cloud.Time)) error {
	var app cloud.AppID
	var due int64
	after := app[:] // below every id
	for {
		err := rx.QueryRow(`
			SELECT app_id, next_attempt_at FROM outbox WHERE claimed_at IS NULL AND app_id > ?
			ORDER BY app_id, next_attempt_at, n LIMIT 1`, after).Scan(&app, &due)
		if err == sql.ErrNoRows {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look for due rows: %w", err)
		}
		found(app, cloud.Time(due))
		after = app[:]
	}
}
