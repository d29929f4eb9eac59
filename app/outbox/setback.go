package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// longestHold is more than any lane is held at once by a host that doesn't answer.
const longestHold = 25 * time.Hour

// setBackTo lets nothing wait for a time that the clock showed by mistake: rows which were
// stored while it was ahead become due as long from now as they were then, and lanes that are
// held for longer than can be are let go. It looks at all rows, so it runs only when the
// clock is before what it was, or before what the file knows.
//
// Nothing is moved when the clock jumps ahead: what was due in the meantime is due, and a delay
// that was counted by a clock in the past ends early.
func (o *Outbox) setBackTo(ctx context.Context, now cloud.Time) error {
	var moved int64
	var lanes []laneID
	err := o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		res, err := tx.Exec(`
			UPDATE outbox SET next_attempt_at = ? + next_attempt_at - created_at
			WHERE claimed_at IS NULL AND created_at > ? AND next_attempt_at >= created_at`, int64(now), int64(now.Add(slewed)))
		if err != nil {
			return fmt.Errorf("move rows of a clock that was ahead: %w", err)
		}
		if moved, err = res.RowsAffected(); err != nil {
			return err
		}
		found, err := tx.Query(`UPDATE held_lanes SET not_before = 0 WHERE not_before > ? RETURNING app_id, lane`, int64(now.Add(longestHold)))
		if err != nil {
			return fmt.Errorf("let go of lanes of a clock that was ahead: %w", err)
		}
		lanes, err = scanAll(found, func(rows *sql.Rows) (id laneID, err error) {
			return id, rows.Scan(&id.app, &id.name)
		})
		return err
	})
	if err != nil {
		return err
	}
	for _, id := range lanes {
		o.lanes.hold(id, 0)
	}
	if moved > 0 || len(lanes) > 0 {
		o.log.Warn("the clock was set back: what waited for a time that it showed before is due as long from now", "rows", moved, "lanes", len(lanes))
	}
	return nil
}

// setBackSince is setBackTo at the start, when the clock is before what the file knows to be
// over, or when it is before what it was at the last look.
func (o *Outbox) setBackSince(ctx context.Context, looked, now cloud.Time) error {
	if looked == 0 {
		err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
			newest, err := newestTime(rx)
			if !newest.IsZero() {
				looked = cloud.TimeOf(newest)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("look for the newest time: %w", err)
		}
	}
	if now.Add(slewed) >= looked {
		return nil
	}
	return o.setBackTo(ctx, now)
}
