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

// UserInput is what a user is created with.
type UserInput struct {
	Username, Password string
	Role               cloud.InstanceRole
}

// UserPatch changes what isn't nil.
type UserPatch struct {
	Username *string             `json:"username"`
	Password *string             `json:"password"`
	Role     *cloud.InstanceRole `json:"instance_role"`
	IsActive *bool               `json:"is_active"`
}

const maxUsername = 64

func checkUsername(name string) error {
	if name == "" || len(name) > maxUsername {
		return cloud.Errorf(cloud.Invalid, "username: needs 1 to %d characters", maxUsername)
	}
	for _, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		if !letter && r != '.' && r != '_' && r != '-' && r != '@' && r != '+' {
			return cloud.Errorf(cloud.Invalid, "username: may have letters, digits and . _ - @ + only")
		}
	}
	return nil
}

func checkInstanceRole(r cloud.InstanceRole) error {
	if !slices.Contains(cloud.InstanceRoles, r) {
		return cloud.Errorf(cloud.Invalid, "instance_role: %q is unknown: it is owner, admin or member", r)
	}
	return nil
}

// Users lists all users.
func (c *Control) Users(ctx context.Context, p cloud.Page) ([]*cloud.User, string, error) {
	return lister[*cloud.User]{
		query: "SELECT " + userColumns + " FROM users WHERE id > ? ORDER BY id LIMIT ?",
		scan:  func(r *sql.Rows) (*cloud.User, error) { return scanUser(r) },
		at:    func(u *cloud.User) position { return position(u.ID) },
	}.page(ctx, c.db, p)
}

// User finds one.
func (c *Control) User(ctx context.Context, id cloud.UserID) (*cloud.User, error) {
	a, err := c.account(ctx, id)
	if err != nil {
		return nil, err
	}
	u := a.user
	return &u, nil
}

// CreateUser makes an active user. Only owners make owners; by is nil for the machine's own
// operator, who may do everything.
func (c *Control) CreateUser(ctx context.Context, by *cloud.Principal, in UserInput) (*cloud.User, error) {
	if err := errors.Join(checkUsername(in.Username), checkInstanceRole(in.Role), checkPassword("password", in.Password)); err != nil {
		return nil, err
	}
	hash, err := c.passwords.hash(ctx, in.Password)
	if err != nil {
		return nil, fmt.Errorf("hash password: %w", err)
	}
	var u *cloud.User
	err = c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		if err := mayManage(tx.Rx, by, in.Role); err != nil {
			return err
		}
		u, err = insertUser(tx, in.Username, hash, in.Role)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func insertUser(tx *db.Tx, username, hash string, role cloud.InstanceRole) (*cloud.User, error) {
	u := &cloud.User{ID: cloud.NewID[cloud.UserID](), Username: username, InstanceRole: role, IsActive: true, CreatedAt: cloud.TimeOf(tx.Now)}
	_, err := tx.Exec("INSERT INTO users (id, username, password_hash, instance_role, is_active, created_at, updated_at) VALUES (?, ?, ?, ?, 1, ?, ?)",
		u.ID, u.Username, hash, u.InstanceRole, u.CreatedAt, u.CreatedAt)
	if err != nil {
		return nil, storeUser(err, username)
	}
	return u, nil
}

func storeUser(err error, username string) error {
	if db.IsUnique(err) {
		return cloud.Errorf(cloud.Conflict, "username: %q is taken", username)
	}
	return fmt.Errorf("store user: %w", err)
}

// mayManage asks what role by has at this moment, which may be less than when the request
// began, and whether it allows to manage users that have or get the given roles.
func mayManage(rx *db.Rx, by *cloud.Principal, roles ...cloud.InstanceRole) error {
	if by == nil {
		return nil
	}
	actor, err := userByID(rx, by.User)
	switch {
	case errors.Is(err, errNoUser):
		return errForbidden
	case err != nil:
		return err
	case !actor.IsActive || actor.InstanceRole == cloud.Member:
		return errForbidden
	case actor.InstanceRole == cloud.Admin && slices.Contains(roles, cloud.Owner):
		return cloud.Errorf(cloud.Forbidden, "only owners manage owners")
	}
	return nil
}

var errForbidden = cloud.Errorf(cloud.Forbidden, "only owners and admins manage users")

// UpdateUser changes a user. The last active owner can be neither demoted nor deactivated
// (Conflict). A changed password or a deactivation ends the user's sessions. One's own
// password is changed with ChangePassword, which asks for the current one.
func (c *Control) UpdateUser(ctx context.Context, by *cloud.Principal, id cloud.UserID, p UserPatch) (*cloud.User, error) {
	if err := p.check(); err != nil {
		return nil, err
	}
	if by != nil && by.User == id && p.Password != nil {
		return nil, cloud.Errorf(cloud.Forbidden, "password: change your own with the current one (POST /auth/password)")
	}
	var hash string
	if p.Password != nil {
		var err error
		if hash, err = c.passwords.hash(ctx, *p.Password); err != nil {
			return nil, fmt.Errorf("hash password: %w", err)
		}
	}
	var u *cloud.User
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = c.updateUser(tx, by, id, p, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}

func (p UserPatch) check() error {
	var err error
	if p.Username != nil {
		err = checkUsername(*p.Username)
	}
	if p.Role != nil {
		err = errors.Join(err, checkInstanceRole(*p.Role))
	}
	if p.Password != nil {
		err = errors.Join(err, checkPassword("password", *p.Password))
	}
	return err
}

func (c *Control) updateUser(tx *db.Tx, by *cloud.Principal, id cloud.UserID, p UserPatch, hash string) (*cloud.User, error) {
	old, err := userByID(tx.Rx, id)
	if err != nil {
		return nil, err
	}
	u := *old
	u.Username, u.InstanceRole, u.IsActive = orOld(p.Username, u.Username), orOld(p.Role, u.InstanceRole), orOld(p.IsActive, u.IsActive)
	if err := mayManage(tx.Rx, by, old.InstanceRole, u.InstanceRole); err != nil {
		return nil, err
	}
	if err := keepOwner(tx.Rx, old, u.IsActive && u.InstanceRole == cloud.Owner); err != nil {
		return nil, err
	}
	_, err = tx.Exec("UPDATE users SET username = ?, instance_role = ?, is_active = ?, updated_at = ? WHERE id = ?",
		u.Username, u.InstanceRole, u.IsActive, cloud.TimeOf(tx.Now), id)
	if err != nil {
		return nil, storeUser(err, u.Username)
	}
	if hash != "" {
		if err := setPassword(tx, id, hash); err != nil {
			return nil, err
		}
	}
	if hash != "" || !u.IsActive {
		if err := c.endSessions(tx, id, cloud.SessionID{}); err != nil {
			return nil, err
		}
	}
	tx.AfterCommit(func() { c.accounts.drop(id) })
	return &u, nil
}

func orOld[T any](p *T, old T) T {
	if p == nil {
		return old
	}
	return *p
}

func setPassword(tx *db.Tx, id cloud.UserID, hash string) error {
	_, err := tx.Exec("UPDATE users SET password_hash = ?, updated_at = ? WHERE id = ?", hash, cloud.TimeOf(tx.Now), id)
	if err != nil {
		return fmt.Errorf("store password: %w", err)
	}
	return nil
}

// keepOwner refuses to take away the last active owner.
func keepOwner(rx *db.Rx, old *cloud.User, stays bool) error {
	if stays || !old.IsActive || old.InstanceRole != cloud.Owner {
		return nil
	}
	var others int
	err := rx.QueryRow("SELECT COUNT(*) FROM users WHERE instance_role = 'owner' AND is_active = 1 AND id <> ?", old.ID).Scan(&others)
	if err != nil {
		return fmt.Errorf("count owners: %w", err)
	}
	if others == 0 {
		return cloud.Errorf(cloud.Conflict, "%s is the last active owner: make somebody else an owner first", old.Username)
	}
	return nil
}

// DeleteUser deletes a user with their sessions, keys and memberships; what they made stays.
// The last active owner can't be deleted (Conflict).
func (c *Control) DeleteUser(ctx context.Context, by *cloud.Principal, id cloud.UserID) error {
	return c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		u, err := userByID(tx.Rx, id)
		if err != nil {
			return err
		}
		if err := errors.Join(mayManage(tx.Rx, by, u.InstanceRole), keepOwner(tx.Rx, u, false)); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM users WHERE id = ?", id); err != nil {
			return fmt.Errorf("delete user: %w", err)
		}
		tx.AfterCommit(func() {
			c.accounts.drop(id)
			c.sessions.clear()
			c.keys.clear()
		})
		return nil
	})
}
