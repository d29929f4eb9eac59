package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"

	"picloud/app/cloud"
	"picloud/db"
)

// Version is a script as it was saved once.
type Version struct {
	Version   int          `json:"version"`
	Source    string       `json:"source"`
	Engine    string       `json:"engine"`
	SavedBy   cloud.UserID `json:"saved_by"`
	CreatedAt cloud.Time   `json:"created_at"`
}

const keptVersions = 50

const versionColumns = "version, source, engine, saved_by, created_at"

func scanVersion(row interface{ Scan(...any) error }) (*Version, error) {
	var v Version
	err := row.Scan(&v.Version, &v.Source, &v.Engine, &v.SavedBy, &v.CreatedAt)
	return &v, err
}

// insertVersion keeps what was just saved, and forgets what is too old.
func insertVersion(tx *db.Tx, by *cloud.Principal, s *cloud.Script) error {
	var who cloud.UserID
	if by != nil {
		who = by.User
	}
	_, err := tx.Exec("INSERT INTO script_versions (script_id, version, source, engine, saved_by, created_at) VALUES (?, ?, ?, ?, ?, ?)",
		s.ID, s.Version, s.Source, s.Engine, who, s.UpdatedAt)
	if err != nil {
		return fmt.Errorf("store version: %w", err)
	}
	if _, err := tx.Exec("DELETE FROM script_versions WHERE script_id = ? AND version <= ?", s.ID, s.Version-keptVersions); err != nil {
		return fmt.Errorf("delete old versions: %w", err)
	}
	return nil
}

// Versions lists the last 50 saves of a script, newest first: its version now is the first.
// A page ends early when the sources are large.
func (c *Control) Versions(ctx context.Context, id cloud.ScriptID, p cloud.Page) ([]*Version, string, error) {
	return lister[*Version]{
		first: positionOf(math.MaxInt),
		query: "SELECT " + versionColumns + " FROM script_versions WHERE script_id = ? AND version < ? ORDER BY version DESC LIMIT ?",
		args:  []any{id},
		scan:  func(r *sql.Rows) (*Version, error) { return scanVersion(r) },
		at:    func(v *Version) position { return positionOf(v.Version) },
		key:   func(p position) any { return p.number() },
		bytes: func(v *Version) int { return len(v.Source) },
	}.page(ctx, c.db, p)
}

// Rollback saves the source and engine of an earlier version again, as a fresh version.
func (c *Control) Rollback(ctx context.Context, by *cloud.Principal, id cloud.ScriptID, version int) (*cloud.Script, error) {
	var v *Version
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		v, err = scanVersion(rx.QueryRow("SELECT "+versionColumns+" FROM script_versions WHERE script_id = ? AND version = ?", id, version))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, cloud.Errorf(cloud.NotFound, "the script has no version %d: the last %d are kept", version, keptVersions)
	}
	if err != nil {
		return nil, fmt.Errorf("read version: %w", err)
	}
	return c.UpdateScript(ctx, by, id, ScriptPatch{Source: &v.Source, Engine: &v.Engine})
}
