package control

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"

	"picloud/db"
)

// SigningKey is 32 random bytes that this instance made when they were first asked for by
// that name, and keeps in its file.
func (c *Control) SigningKey(ctx context.Context, name string) ([]byte, error) {
	fresh := make([]byte, 32)
	rand.Read(fresh)
	var text string
	err := c.db.Update(ctx, func(_ context.Context, tx *db.Tx) error {
		setting := "signing_key_" + name
		if _, err := tx.Exec("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", setting, hex.EncodeToString(fresh)); err != nil {
			return err
		}
		return tx.QueryRow("SELECT value FROM settings WHERE name = ?", setting).Scan(&text)
	})
	if err != nil {
		return nil, fmt.Errorf("make the key %s: %w", name, err)
	}
	key, err := hex.DecodeString(text)
	if err != nil || len(key) != len(fresh) {
		return nil, fmt.Errorf("the stored key %s is damaged", name)
	}
	return key, nil
}
