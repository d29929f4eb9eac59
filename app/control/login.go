package control

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// errLogin tells nothing apart: no such user, wrong password, not active.
var errLogin = cloud.Errorf(cloud.Unauthenticated, "the username or the password is wrong")

// credentials are what a login is checked against.
type credentials struct {
	user cloud.User // without an id when there is none
	hash string
}

// valid says whether a login with the right password may succeed.
func (k *credentials) valid() bool { return !k.user.ID.IsZero() && k.user.IsActive }

// Login checks a password and starts a session, whose token it returns. Failures are
// Unauthenticated and all look and take the same; too many of them are RateLimited, with an
// error that has a RetryAfter method.
func (c *Control) Login(ctx context.Context, username, password string, from From) (*cloud.User, string, error) {
	try, err := c.throttle.begin(username, from.Address, func() bool { return c.hasBeenHere(ctx, username, from.Address) })
	if err != nil {
		return nil, "", err
	}
	k, err := c.checkLogin(ctx, username, password)
	if err != nil {
		try.end(err)
		return nil, "", err
	}
	var token string
	err = c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		// The password may have been changed and the user deactivated since the check.
		now, err := readCredentials(tx.Rx, username)
		if err != nil {
			return err
		}
		if !now.valid() || now.hash != k.hash {
			return errLogin
		}
		token, err = c.startSession(tx, k.user.ID, from)
		return err
	})
	try.end(err)
	if err != nil {
		return nil, "", err
	}
	return &k.user, token, nil
}

// checkLogin does the same work for users that don't exist or aren't active.
func (c *Control) checkLogin(ctx context.Context, username, password string) (*credentials, error) {
	var k *credentials
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		k, err = readCredentials(rx, username)
		return err
	})
	if err != nil {
		return nil, err
	}
	hash := k.hash
	if hash == "" {
		hash = c.passwords.decoy
	}
	ok, err := c.passwords.verify(ctx, password, hash)
	if err != nil {
		return nil, fmt.Errorf("verify password: %w", err)
	}
	if !ok || !k.valid() {
		return nil, errLogin
	}
	return k, nil
}

func readCredentials(rx *db.Rx, username string) (*credentials, error) {
	var k credentials
	u := &k.user
	err := rx.QueryRow("SELECT "+userColumns+", password_hash FROM users WHERE username = ?", clip(username, maxUsername+1)).
		Scan(&u.ID, &u.Username, &u.InstanceRole, &u.IsActive, &u.CreatedAt, &k.hash)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, fmt.Errorf("read user: %w", err)
	}
	return &k, nil
}

// hasBeenHere reports whether username has a session from the address: then strangers'
// failures don't slow their next login, even after a restart.
func (c *Control) hasBeenHere(ctx context.Context, username, address string) bool {
	var yes bool
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
		return rx.QueryRow("SELECT EXISTS (SELECT 1 FROM sessions WHERE address = ? AND user_id = (SELECT id FROM users WHERE username = ?))",
			clip(address, maxAddress), clip(username, maxUsername+1)).Scan(&yes)
	})
	return err == nil && yes
}

// ChangePassword replaces p's own password and ends p's other sessions. A wrong current
// password is Invalid and slowed like a failed login.
func (c *Control) ChangePassword(ctx context.Context, p *cloud.Principal, current, next string) error {
	if err := checkPassword("new", next); err != nil {
		return err
	}
	// The bucket is the user's own, so that failed logins elsewhere don't slow it.
	try, err := c.throttle.begin(p.User.String(), "", func() bool { return true })
	if err != nil {
		return err
	}
	k, err := c.checkLogin(ctx, p.Username, current)
	try.end(err)
	if errors.Is(err, errLogin) || err == nil && k.user.ID != p.User {
		return cloud.Errorf(cloud.Invalid, "current: the password is wrong")
	}
	if err != nil {
		return err
	}
	hash, err := c.passwords.hash(ctx, next)
	if err != nil {
		return fmt.Errorf("hash password: %w", err)
	}
	return c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		now, err := readCredentials(tx.Rx, p.Username)
		if err != nil {
			return err
		}
		if now.user.ID != p.User || now.hash != k.hash {
			return cloud.Errorf(cloud.Conflict, "the password was changed in the meantime: log in again")
		}
		return errors.Join(setPassword(tx, p.User, hash), c.endSessions(tx, p.User, p.Session))
	})
}

// ResetPassword gives a user another password, makes them active and ends their sessions.
// It is for the machine's own operator.
func (c *Control) ResetPassword(ctx context.Context, username, password string) (*cloud.User, error) {
	var k *credentials
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		k, err = readCredentials(rx, username)
		return err
	})
	if err != nil {
		return nil, err
	}
	if k.user.ID.IsZero() {
		return nil, cloud.Errorf(cloud.NotFound, "no user is called %q", strings.ToValidUTF8(username, "?"))
	}
	yes := true
	return c.UpdateUser(ctx, nil, k.user.ID, UserPatch{Password: &password, IsActive: &yes})
}
