package control

import (
	"context"
	"encoding/json"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// QuotaOf are an app's quotas, from memory; none for an app that doesn't exist.
func (c *Control) QuotaOf(app cloud.AppID) cloud.Quotas {
	if a := c.live.app(app); a != nil {
		return a.quotas
	}
	return cloud.Quotas{}
}

// SlugOf is an app's slug, from memory; empty for an app that doesn't exist.
func (c *Control) SlugOf(app cloud.AppID) string {
	if a := c.live.app(app); a != nil {
		return a.Slug
	}
	return ""
}

// Quotas are an app's quotas.
func (c *Control) Quotas(ctx context.Context, app cloud.AppID) (cloud.Quotas, error) {
	a := c.live.app(app)
	if a == nil {
		return cloud.Quotas{}, errNoApp
	}
	return a.quotas, nil
}

// SetQuotas replaces an app's quotas; they hold from the next execution and write on.
func (c *Control) SetQuotas(ctx context.Context, app cloud.AppID, q cloud.Quotas) error {
	for name, n := range map[string]int64{
		"kv_bytes": q.KVBytes, "outbox_rows": q.OutboxRows,
		"executions_per_minute": q.ExecutionsPerMinute, "concurrent_executions": q.ConcurrentExecutions,
	} {
		if n < 0 {
			return cloud.Errorf(cloud.Invalid, "%s: can't be negative; 0 is unlimited", name)
		}
	}
	text, err := json.Marshal(q)
	if err != nil {
		return fmt.Errorf("encode quotas: %w", err)
	}
	return c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		a, err := appByID(tx.Rx, app)
		if err != nil {
			return err
		}
		a.quotas, a.UpdatedAt = q, cloud.TimeOf(tx.Now)
		if _, err := tx.Exec("UPDATE apps SET quotas = ?, updated_at = ? WHERE id = ?", string(text), a.UpdatedAt, app); err != nil {
			return fmt.Errorf("store quotas: %w", err)
		}
		tx.AfterCommit(func() { c.live.setApp(a) })
		return nil
	})
}
