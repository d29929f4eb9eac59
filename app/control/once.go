package control

import (
	"context"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Once runs f unless an earlier call with this name, of any process, was successful. A crash
// between f and the note of it makes f run again, so f's Conflict (it is there already)
// counts as success.
func (c *Control) Once(ctx context.Context, name string, f func() error) error {
	setting := "once_" + name
	var done bool
	err := c.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow("SELECT EXISTS (SELECT 1 FROM settings WHERE name = ?)", setting).Scan(&done)
	})
	if err != nil {
		return fmt.Errorf("look up what was done once: %w", err)
	}
	if done {
		return nil
	}
	if err := f(); err != nil && cloud.KindOf(err) != cloud.Conflict {
		return err
	}
	return c.db.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO settings (name, value) VALUES (?, '1') ON CONFLICT (name) DO NOTHING", setting)
		return err
	})
}
