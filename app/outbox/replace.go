package outbox

import (
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Replaced says that tx has put other triggers, rows and held lanes in the place of all that
// an app had. Workers that still run rows of before have lost them, and finish nothing.
func (o *Outbox) Replaced(tx *db.Tx, app cloud.AppID) error {
	o.triggers.changed(tx, app)
	o.cronChanged(tx)
	held, err := lanesOf(tx.Rx, `SELECT lane, not_before FROM held_lanes WHERE app_id = ?`, app)
	if err != nil {
		return err
	}
	due, err := lanesOf(tx.Rx, `SELECT lane, min(next_attempt_at) FROM outbox WHERE app_id = ? AND claimed_at IS NULL AND blocked = 0 GROUP BY lane`, app)
	if err != nil {
		return err
	}
	tx.AfterCommit(func() {
		o.lanes.letGo(app)
		for lane, until := range held {
			o.lanes.hold(laneID{app, lane}, until)
		}
		for lane, at := range due {
			o.lanes.add(laneID{app, lane}, at)
		}
	})
	return o.refreshQueues(tx, app)
}

// lanesOf reads a time for each lane of an app.
func lanesOf(rx *db.Rx, query string, app cloud.AppID) (map[string]cloud.Time, error) {
	rows, err := rx.Query(query, app)
	if err != nil {
		return nil, fmt.Errorf("read an app's lanes: %w", err)
	}
	defer rows.Close()
	all := map[string]cloud.Time{}
	for rows.Next() {
		var lane string
		var at cloud.Time
		if err := rows.Scan(&lane, (*int64)(&at)); err != nil {
			return nil, fmt.Errorf("read an app's lanes: %w", err)
		}
		all[lane] = at
	}
	return all, rows.Err()
}

// letGo ends what holds the lanes of an app back.
func (l *lanes) letGo(app cloud.AppID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for id, p := range l.policies {
		if id.app != app {
			continue
		}
		p.notBefore = 0
		delete(l.policies, id)
		if p != l.policyLocked(id) {
			l.policies[id] = p
		}
	}
}
