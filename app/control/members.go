package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"picloud/app/cloud"
	"picloud/db"
)

// Membership is a user's role in an app.
type Membership struct {
	UserID    cloud.UserID `json:"user_id"`
	Username  string       `json:"username"`
	Role      cloud.Role   `json:"role"`
	CreatedAt cloud.Time   `json:"created_at"`
}

const memberColumns = "m.user_id, u.username, m.role, m.created_at FROM members m JOIN users u ON u.id = m.user_id"

func scanMember(row interface{ Scan(...any) error }) (*Membership, error) {
	var m Membership
	err := row.Scan(&m.UserID, &m.Username, &m.Role, &m.CreatedAt)
	return &m, err
}

// Members lists an app's members. Instance owners and admins need no membership, and are
// listed only when they have one.
func (c *Control) Members(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*Membership, string, error) {
	return lister[*Membership]{
		query: "SELECT " + memberColumns + " WHERE m.app_id = ? AND m.user_id > ? ORDER BY m.user_id LIMIT ?",
		args:  []any{app},
		scan:  func(r *sql.Rows) (*Membership, error) { return scanMember(r) },
		at:    func(m *Membership) position { return position(m.UserID) },
	}.page(ctx, c.db, p)
}

// Membership finds one.
func (c *Control) Membership(ctx context.Context, app cloud.AppID, u cloud.UserID) (*Membership, error) {
	var m *Membership
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		m, err = memberOf(rx, app, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

func memberOf(rx *db.Rx, app cloud.AppID, u cloud.UserID) (*Membership, error) {
	m, err := scanMember(rx.QueryRow("SELECT "+memberColumns+" WHERE m.app_id = ? AND m.user_id = ?", app, u))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, cloud.Errorf(cloud.NotFound, "the user is no member of this app")
	}
	if err != nil {
		return nil, fmt.Errorf("read membership: %w", err)
	}
	return m, nil
}

// SetMember makes a user a member of an app, or changes their role.
func (c *Control) SetMember(ctx context.Context, app cloud.AppID, u cloud.UserID, role cloud.Role) (*Membership, error) {
	if !slices.Contains(cloud.Roles, role) {
		return nil, cloud.Errorf(cloud.Invalid, "role: %q is unknown: it is viewer, editor or app_admin", role)
	}
	var m *Membership
	err := c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO members (app_id, user_id, role, created_at) VALUES (?, ?, ?, ?) ON CONFLICT (app_id, user_id) DO UPDATE SET role = excluded.role",
			app, u, role, cloud.TimeOf(tx.Now))
		if db.IsForeignKey(err) {
			return cloud.Errorf(cloud.NotFound, "no such user, or no such app")
		}
		if err != nil {
			return fmt.Errorf("store membership: %w", err)
		}
		tx.AfterCommit(func() { c.accounts.drop(u) })
		m, err = memberOf(tx.Rx, app, u)
		return err
	})
	if err != nil {
		return nil, err
	}
	return m, nil
}

// RemoveMember takes a user's role in an app away.
func (c *Control) RemoveMember(ctx context.Context, app cloud.AppID, u cloud.UserID) error {
	return c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		if _, err := memberOf(tx.Rx, app, u); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM members WHERE app_id = ? AND user_id = ?", app, u); err != nil {
			return fmt.Errorf("delete membership: %w", err)
		}
		tx.AfterCommit(func() { c.accounts.drop(u) })
		return nil
	})
}
