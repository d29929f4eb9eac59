package control

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"errors"
	"fmt"
	"sync"

	"picloud/app/cloud"
	"picloud/db"
)

// setup remembers the token of this process, because the database has its hash only.
type setup struct {
	mu    sync.Mutex
	token string
}

const setupSetting = "setup_token_hash"

var errSetUp = cloud.Errorf(cloud.Conflict, "the instance has an owner already: log in instead")

// SetupNeeded reports whether there is no owner yet.
func (c *Control) SetupNeeded(ctx context.Context) (bool, error) {
	if c.owned.Load() {
		return false, nil
	}
	var owned bool
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		owned, err = hasOwner(rx)
		return err
	})
	if owned {
		c.owned.Store(true)
	}
	return !owned, err
}

func hasOwner(rx *db.Rx) (owned bool, err error) {
	if err := rx.QueryRow("SELECT EXISTS (SELECT 1 FROM users WHERE instance_role = 'owner')").Scan(&owned); err != nil {
		return false, fmt.Errorf("look for an owner: %w", err)
	}
	return owned, nil
}

// SetupToken is what Setup wants to be shown, "" once an owner exists. It is made when a
// process first asks and replaces the one of earlier processes.
func (c *Control) SetupToken(ctx context.Context) (string, error) {
	needed, err := c.SetupNeeded(ctx)
	if err != nil || !needed {
		return "", err
	}
	c.setup.mu.Lock()
	defer c.setup.mu.Unlock()
	if c.setup.token != "" {
		return c.setup.token, nil
	}
	token := newToken()
	err = c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO settings (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", setupSetting, hashText(token))
		return err
	})
	if err != nil {
		return "", fmt.Errorf("store the setup token: %w", err)
	}
	c.setup.token = token
	return token, nil
}

func hashText(token string) string {
	h := sha256.Sum256([]byte(token))
	return hex.EncodeToString(h[:])
}

// Setup makes the first owner and logs them in: it returns a session token. The setup token
// works once; a wrong one is Unauthenticated, one that is no longer needed a Conflict.
func (c *Control) Setup(ctx context.Context, token, username, password string, from From) (*cloud.User, string, error) {
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error { return checkSetup(rx, token) })
	if err != nil {
		return nil, "", err
	}
	hash, err := c.hashNew(ctx, username, password)
	if err != nil {
		return nil, "", err
	}
	var u *cloud.User
	var session string
	err = c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if err := checkSetup(tx.Rx, token); err != nil {
			return err
		}
		if u, err = c.insertOwner(tx, username, hash); err != nil {
			return err
		}
		session, err = c.startSession(tx, u.ID, from)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return u, session, nil
}

// checkSetup asks whether token would make an owner.
func checkSetup(rx *db.Rx, token string) error {
	owned, err := hasOwner(rx)
	if err != nil {
		return err
	}
	if owned {
		return errSetUp
	}
	var want string
	err = rx.QueryRow("SELECT value FROM settings WHERE name = ?", setupSetting).Scan(&want)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read the setup token: %w", err)
	}
	if subtle.ConstantTimeCompare([]byte(hashText(token)), []byte(want)) != 1 {
		return cloud.Errorf(cloud.Unauthenticated, "token: it is not the setup token; the instance printed it when it started")
	}
	return nil
}

func (c *Control) hashNew(ctx context.Context, username, password string) (string, error) {
	if err := errors.Join(checkUsername(username), checkPassword("password", password)); err != nil {
		return "", err
	}
	hash, err := c.passwords.hash(ctx, password)
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return hash, nil
}

func (c *Control) insertOwner(tx *db.Tx, username, hash string) (*cloud.User, error) {
	u, err := insertUser(tx, username, hash, cloud.Owner)
	if err != nil {
		return nil, err
	}
	if _, err := tx.Exec("DELETE FROM settings WHERE name = ?", setupSetting); err != nil {
		return nil, fmt.Errorf("delete the setup token: %w", err)
	}
	tx.AfterCommit(func() { c.owned.Store(true) })
	return u, nil
}

// CreateOwner makes an owner without a token; it is for the machine's own operator.
func (c *Control) CreateOwner(ctx context.Context, username, password string) (*cloud.User, error) {
	hash, err := c.hashNew(ctx, username, password)
	if err != nil {
		return nil, err
	}
	var u *cloud.User
	err = c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		u, err = c.insertOwner(tx, username, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	return u, nil
}
