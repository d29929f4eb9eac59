package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// account is a user with all memberships, as they are now.
type account struct {
	user  cloud.User
	roles map[cloud.AppID]cloud.Role
}

// principal is what the account may do. The roles are shared with the cache.
func (a *account) principal() *cloud.Principal {
	return &cloud.Principal{User: a.user.ID, Username: a.user.Username, Role: a.user.InstanceRole, Roles: a.roles}
}

var errNoUser = cloud.Errorf(cloud.NotFound, "no such user")

// Principal is a user with the rights they have now: NotFound when they are gone, Forbidden
// when they are not active. Its Roles are shared: don't change them.
func (c *Control) Principal(ctx context.Context, u cloud.UserID) (*cloud.Principal, error) {
	a, err := c.account(ctx, u)
	if err != nil {
		return nil, err
	}
	if !a.user.IsActive {
		return nil, cloud.Errorf(cloud.Forbidden, "the user %s is not active", a.user.Username)
	}
	return a.principal(), nil
}

func (c *Control) account(ctx context.Context, id cloud.UserID) (*account, error) {
	return c.accounts.get(id, func() (*account, error) {
		var a account
		err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
			u, err := userByID(rx, id)
			if err != nil {
				return err
			}
			a.user = *u
			a.roles, err = rolesOf(rx, id)
			return err
		})
		return &a, err
	})
}

const userColumns = "id, username, instance_role, is_active, created_at"

func scanUser(row interface{ Scan(...any) error }) (*cloud.User, error) {
	var u cloud.User
	err := row.Scan(&u.ID, &u.Username, &u.InstanceRole, &u.IsActive, &u.CreatedAt)
	return &u, err
}

func userByID(rx *db.Rx, id cloud.UserID) (*cloud.User, error) {
	u, err := scanUser(rx.QueryRow("SELECT "+userColumns+" FROM users WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoUser
	}
	if err != nil {
		return nil, fmt.Errorf("read user: %w", err)
	}
	return u, nil
}

func rolesOf(rx *db.Rx, id cloud.UserID) (map[cloud.AppID]cloud.Role, error) {
	rows, err := rx.Query("SELECT app_id, role FROM members WHERE user_id = ?", id)
	if err != nil {
		return nil, fmt.Errorf("read memberships: %w", err)
	}
	defer rows.Close()
	roles := map[cloud.AppID]cloud.Role{}
	for rows.Next() {
		var app cloud.AppID
		var role cloud.Role
		if err := rows.Scan(&app, &role); err != nil {
			return nil, fmt.Errorf("read memberships: %w", err)
		}
		roles[app] = role
	}
	return roles, rows.Err()
}
