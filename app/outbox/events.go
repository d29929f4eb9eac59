package outbox

import (
	"context"
	"strconv"

	"picloud/app/cloud"
	"picloud/db"
)

// EventQuery selects events that have not ended well; zero fields select all.
type EventQuery struct {
	Status   cloud.Status // queued, running or dead; required
	ScriptID cloud.ScriptID
	Source   string
	Since    cloud.Time // stored, or dead, since then
}

// Events lists an app's events of one status as executions, newest first: rows that wait or
// run, or dead letters whose event has not gone back into the outbox. A caller's execution
// that lives in memory only is not among them.
func (o *Outbox) Events(ctx context.Context, app cloud.AppID, q EventQuery, p cloud.Page) (list []*cloud.Execution, next string, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		if q.Status == cloud.StatusDead {
			list, next, err = deadPage(rx, app, q, p)
		} else {
			list, next, err = livePage(rx, app, q, p)
		}
		return err
	})
	return list, next, err
}

func livePage(rx *db.Rx, app cloud.AppID, q EventQuery, p cloud.Page) ([]*cloud.Execution, string, error) {
	before := int64(1<<63 - 1)
	if p.Cursor != "" {
		n, err := strconv.ParseInt(p.Cursor, 10, 64)
		if err != nil {
			return nil, "", errCursor
		}
		before = n
	}
	found, err := selectListed(rx, `WHERE app_id = ?1 AND n < ?2 AND (claimed_at IS NOT NULL) = ?3
		AND (?4 IS NULL OR script_id = ?4) AND (?5 = '' OR source = ?5) AND created_at >= ?6 ORDER BY n DESC LIMIT ?7`,
		app, before, q.Status == cloud.StatusRunning, q.ScriptID, q.Source, int64(q.Since), p.Clamp()+1)
	if err != nil {
		return nil, "", err
	}
	next := ""
	if len(found) > p.Clamp() {
		found = found[:p.Clamp()]
		next = strconv.FormatInt(found[len(found)-1].n, 10)
	}
	list := make([]*cloud.Execution, len(found))
	for i, r := range found {
		list[i] = r.execution()
	}
	return list, next, nil
}

func deadPage(rx *db.Rx, app cloud.AppID, q EventQuery, p cloud.Page) ([]*cloud.Execution, string, error) {
	var before cloud.DeadLetterID
	if p.Cursor != "" {
		id, err := cloud.ParseID[cloud.DeadLetterID](p.Cursor)
		if err != nil {
			return nil, "", errCursor
		}
		before = id
	}
	list, err := selectDead(rx, `app_id = ?1 AND (?2 IS NULL OR id < ?2)
		AND (?3 IS NULL OR script_id = ?3) AND (?4 = '' OR source = ?4) AND created_at >= ?5 ORDER BY id DESC LIMIT ?6`,
		app, before, q.ScriptID, q.Source, int64(q.Since), p.Clamp()+1)
	if err != nil || len(list) <= p.Clamp() {
		return list, "", err
	}
	list = list[:p.Clamp()]
	return list, list[len(list)-1].DeadLetterID.String(), nil
}
