package control

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"picloud/app/cloud"
	"picloud/app/outbound"
	"picloud/db"
)

// OutboundOf are the reserved places that an app's scripts may call, from memory.
func (c *Control) OutboundOf(app cloud.AppID) []string {
	if a := c.live.app(app); a != nil {
		return a.outbound
	}
	return nil
}

// SetOutbound replaces the list of reserved places that an app's scripts may call; it holds
// from the next request on. What the entries look like is told by outbound.ParseAllow.
func (c *Control) SetOutbound(ctx context.Context, app cloud.AppID, allow []string) error {
	entries := []string{}
	for _, e := range allow {
		entries = append(entries, strings.ToLower(strings.TrimSpace(e)))
	}
	if _, err := outbound.ParseAllow(entries); err != nil {
		return err
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return fmt.Errorf("encode an allow list: %w", err)
	}
	return c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		a, err := appByID(tx.Rx, app)
		if err != nil {
			return err
		}
		a.outbound, a.UpdatedAt = entries, cloud.TimeOf(tx.Now)
		if _, err := tx.Exec("UPDATE apps SET outbound_allow = ?, updated_at = ? WHERE id = ?", string(text), a.UpdatedAt, app); err != nil {
			return fmt.Errorf("store an allow list: %w", err)
		}
		tx.AfterCommit(func() { c.live.setApp(a) })
		return nil
	})
}
