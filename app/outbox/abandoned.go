package outbox

import (
	"context"
	"database/sql"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// abandoned is a result that nobody waited for any more.
type abandoned struct {
	app     cloud.AppID
	exec    cloud.ExecutionID
	script  cloud.ScriptID
	inbox   inboxID
	status  int
	summary string
}

func (x *abandoned) insert(tx *db.Tx, m *metrics) error {
	_, err := tx.Exec(`
		INSERT INTO abandoned_executions (id, app_id, execution_id, script_id, inbox_id, status_code, result_summary, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		cloud.NewID[cloud.AbandonedID](), x.app, x.exec, x.script, x.inbox, x.status, x.summary, tx.Now.UnixMilli())
	if err != nil {
		return fmt.Errorf("insert abandoned execution: %w", err)
	}
	tx.AfterCommit(m.abandoned.WithLabelValues(x.app.String()).Inc)
	return nil
}

// abandonRow turns a caller's row that a dead process left into an abandoned execution.
func (o *Outbox) abandonRow(tx *db.Tx, r *row, res *cloud.Result) error {
	if err := o.remove(tx, r); err != nil {
		return err
	}
	x := abandoned{r.app, cloud.ExecutionID(r.id), r.script, r.replyTo, res.StatusCode, summary(res)}
	return x.insert(tx, o.metrics)
}

// Abandoned lists results that nobody waited for any more, newest first.
func (o *Outbox) Abandoned(ctx context.Context, app cloud.AppID, p cloud.Page) (list []*cloud.Abandoned, next string, err error) {
	before, err := newestFirst[cloud.AbandonedID](p)
	if err != nil {
		return nil, "", err
	}
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`
			SELECT id, app_id, execution_id, script_id, status_code, result_summary, created_at
			FROM abandoned_executions WHERE app_id = ? AND id < ? ORDER BY id DESC LIMIT ?`, app, before[:], p.Clamp()+1)
		if err != nil {
			return fmt.Errorf("list abandoned executions: %w", err)
		}
		list, err = scanAll(rows, func(rows *sql.Rows) (*cloud.Abandoned, error) {
			x := &cloud.Abandoned{}
			return x, rows.Scan(&x.ID, &x.AppID, &x.ExecutionID, &x.ScriptID, &x.StatusCode, &x.ResultSummary, (*int64)(&x.CreatedAt))
		})
		return err
	})
	if len(list) > p.Clamp() {
		list = list[:p.Clamp()]
		next = list[len(list)-1].ID.String()
	}
	return list, next, err
}

// newestFirst is the id below which a page of a list that runs backwards begins.
func newestFirst[I ~[16]byte](p cloud.Page) (I, error) {
	if p.Cursor != "" {
		return idCursor[I](p.Cursor)
	}
	var top [16]byte
	for i := range top {
		top[i] = 0xff
	}
	return I(top), nil
}
