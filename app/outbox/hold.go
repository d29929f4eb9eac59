package outbox

import (
	"context"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// HoldLane keeps a lane from being claimed until a time, across restarts, as a circuit
// breaker does when a host doesn't answer: its rows use up no attempts meanwhile. Zero, or a
// time that is over, lets it go.
func (o *Outbox) HoldLane(ctx context.Context, app cloud.AppID, lane string, until cloud.Time) error {
	return o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		tx.CountFor(db.Cause{App: app}, 1)
		_, err := tx.Exec(`
			INSERT INTO held_lanes (app_id, lane, not_before) VALUES (?, ?, ?)
			ON CONFLICT (app_id, lane) DO UPDATE SET not_before = excluded.not_before`, app, lane, int64(until))
		if err != nil {
			return fmt.Errorf("hold lane: %w", err)
		}
		tx.AfterCommit(func() { o.lanes.hold(laneID{app, lane}, until) })
		return nil
	})
}

// loadLanes learns which lanes are held.
func (o *Outbox) loadLanes(ctx context.Context) error {
	return o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT app_id, lane, not_before FROM held_lanes WHERE not_before > ?`, rx.Now.UnixMilli())
		if err != nil {
			return fmt.Errorf("load held lanes: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var id laneID
			var until cloud.Time
			if err := rows.Scan(&id.app, &id.name, (*int64)(&until)); err != nil {
				return err
			}
			o.lanes.hold(id, until)
		}
		return rows.Err()
	})
}
