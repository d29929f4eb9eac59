package control

import (
	"context"
	"database/sql"
	"fmt"
	"sync/atomic"

	"picloud/app/cloud"
	"picloud/db"
)

// auditor knows how many entries there are, so that adding one needn't count them.
type auditor struct {
	cap     int
	count   atomic.Int64
	trimmed uint64 // the group commit that trimmed last; its closures share one count
}

const (
	maxAction = 100  // bytes, as those below
	maxDetail = 1000 // of detail and of resource
)

func (a *auditor) load(rx *db.Rx) error {
	var n int64
	if err := rx.QueryRow("SELECT COUNT(*) FROM audit").Scan(&n); err != nil {
		return fmt.Errorf("count audit entries: %w", err)
	}
	a.count.Store(n)
	return nil
}

// batch is how far the log may grow beyond the cap before it is trimmed.
func (a *auditor) batch() int { return max(1, a.cap/100) }

// Audit appends e, with an id and the time filled in. Long texts are cut. The oldest entries
// beyond the cap go, in batches.
func (c *Control) Audit(ctx context.Context, e *cloud.AuditEntry) error {
	e.ID = cloud.NewID[cloud.AuditID]()
	e.Action, e.Resource, e.Detail = clip(e.Action, maxAction), clip(e.Resource, maxDetail), clip(e.Detail, maxDetail)
	e.Address, e.Username = clip(e.Address, maxAddress), clip(e.Username, maxUsername)
	return c.db.UpdateFor(ctx, db.Cause{App: e.AppID}, func(ctx context.Context, tx *db.Tx) error {
		e.At = cloud.TimeOf(tx.Now)
		_, err := tx.Exec("INSERT INTO audit ("+auditColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			e.ID, e.AppID, e.UserID, e.Username, e.KeyID, e.Action, e.Resource, e.Detail, e.Address, e.At)
		if err != nil {
			return fmt.Errorf("store audit entry: %w", err)
		}
		return c.audit.trim(tx)
	})
}

// trim counts the entry that was just added and makes room when there are too many.
func (a *auditor) trim(tx *db.Tx) error {
	var gone int64
	if over := a.count.Load() + 1 - int64(a.cap); over >= int64(a.batch()) && a.trimmed != tx.Batch() {
		a.trimmed = tx.Batch()
		res, err := tx.Exec("DELETE FROM audit WHERE id IN (SELECT id FROM audit ORDER BY id LIMIT ?)", over)
		if err != nil {
			return fmt.Errorf("delete old audit entries: %w", err)
		}
		if gone, err = res.RowsAffected(); err != nil {
			return fmt.Errorf("delete old audit entries: %w", err)
		}
	}
	tx.AfterCommit(func() { a.count.Add(1 - gone) })
	return nil
}

const auditColumns = "id, app_id, user_id, username, key_id, action, resource, detail, address, at"

func scanAudit(row interface{ Scan(...any) error }) (*cloud.AuditEntry, error) {
	var e cloud.AuditEntry
	err := row.Scan(&e.ID, &e.AppID, &e.UserID, &e.Username, &e.KeyID, &e.Action, &e.Resource, &e.Detail, &e.Address, &e.At)
	return &e, err
}

// AuditEntries lists entries, newest first: those of an app or, with a zero app, all of the
// instance.
func (c *Control) AuditEntries(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.AuditEntry, string, error) {
	l := lister[*cloud.AuditEntry]{
		first: lastPosition,
		query: "SELECT " + auditColumns + " FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
		scan:  func(r *sql.Rows) (*cloud.AuditEntry, error) { return scanAudit(r) },
		at:    func(e *cloud.AuditEntry) position { return position(e.ID) },
	}
	if !app.IsZero() {
		l.query = "SELECT " + auditColumns + " FROM audit WHERE app_id = ? AND id < ? ORDER BY id DESC LIMIT ?"
		l.args = []any{app}
	}
	return l.page(ctx, c.db, p)
}
