package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	"picloud/app/cloud"
	"picloud/db"
)

// A key's text is keyStart, its prefix, its secret.
const (
	keyStart  = "pic_"
	keyPrefix = 8
	keySecret = 43 // characters of 62: 256 bits

	maxKeys = 200 // of one user
	maxName = 128 // characters of a name, of keys, scripts and apps
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// randomText returns n characters of base62, each as likely as any other.
func randomText(n int) string {
	b := make([]byte, 0, n)
	var buf [64]byte
	for {
		rand.Read(buf[:])
		for _, r := range buf {
			if r >= 248 { // 4*62: the rest would favour some
				continue
			}
			if b = append(b, base62[r%62]); len(b) == n {
				return string(b)
			}
		}
	}
}

// key is what the cache knows of one.
type key struct {
	cloud.Key
	hash     [sha256.Size]byte
	lastUsed atomic.Int64 // Unix milliseconds
}

// AuthenticateKey finds the principal of a bearer key, with the rights that its user has at
// this moment, narrowed by the key. The error is Unauthenticated, and the same, whatever is
// wrong.
func (c *Control) AuthenticateKey(ctx context.Context, text string) (*cloud.Principal, error) {
	prefix, secret, ok := splitKey(text)
	if !ok {
		return nil, errUnknown
	}
	k, err := c.keys.get(prefix, func() (*key, error) { return c.loadKey(ctx, prefix) })
	if err != nil {
		return nil, err
	}
	hash := sha256.Sum256([]byte(secret))
	now := c.now()
	if subtle.ConstantTimeCompare(hash[:], k.hash[:]) != 1 || !k.ExpiresAt.IsZero() && now >= k.ExpiresAt {
		return nil, errUnknown
	}
	a, err := c.activeAccount(ctx, k.UserID)
	if err != nil {
		return nil, err
	}
	c.slideKey(ctx, k, now)
	p := a.principal()
	p.Key, p.Scopes, p.App = k.ID, k.Scopes, k.AppID
	return p, nil
}

func splitKey(text string) (prefix, secret string, ok bool) {
	rest, ok := strings.CutPrefix(text, keyStart)
	if !ok || len(rest) != keyPrefix+keySecret {
		return "", "", false
	}
	return rest[:keyPrefix], rest[keyPrefix:], true
}

func (c *Control) loadKey(ctx context.Context, prefix string) (*key, error) {
	var k *key
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) (err error) {
		k, err = scanKey(rx.QueryRow("SELECT "+keyColumns+" FROM api_keys WHERE prefix = ?", prefix))
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read key: %w", err)
	}
	return k, nil
}

const keyColumns = "id, user_id, name, prefix, secret_hash, scopes, app_id, COALESCE(expires_at, 0), COALESCE(last_used_at, 0), created_at"

func scanKey(row interface{ Scan(...any) error }) (*key, error) {
	var k key
	var hash []byte
	var scopes string
	if err := row.Scan(&k.ID, &k.UserID, &k.Name, &k.Prefix, &hash, &scopes, &k.AppID, &k.ExpiresAt, &k.LastUsedAt, &k.CreatedAt); err != nil {
		return nil, err
	}
	if len(hash) != len(k.hash) {
		return nil, fmt.Errorf("hash of key %s has %d bytes", k.Prefix, len(hash))
	}
	copy(k.hash[:], hash)
	k.lastUsed.Store(int64(k.LastUsedAt))
	return &k, json.Unmarshal([]byte(scopes), &k.Scopes)
}

// slideKey writes down that the key was used, at most once an hour.
func (c *Control) slideKey(ctx context.Context, k *key, now cloud.Time) {
	last := k.lastUsed.Load()
	if now.Time().Sub(cloud.Time(last).Time()) < slideEvery || !k.lastUsed.CompareAndSwap(last, int64(now)) {
		return
	}
	err := c.db.UpdateLazy(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec("UPDATE api_keys SET last_used_at = ? WHERE id = ?", now, k.ID)
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("a key's last use was not stored", "key", k.ID.String(), "err", err)
	}
}

// KeyInput is what a key is created with.
type KeyInput struct {
	Name      string
	Scopes    []cloud.Scope
	App       cloud.AppID // zero: not bound
	ExpiresAt cloud.Time  // zero: never
}

// Keys lists the keys of by's user.
func (c *Control) Keys(ctx context.Context, by *cloud.Principal, p cloud.Page) ([]*cloud.Key, string, error) {
	return lister[*cloud.Key]{
		query: "SELECT " + keyColumns + " FROM api_keys WHERE user_id = ? AND id > ? ORDER BY id LIMIT ?",
		args:  []any{by.User},
		scan: func(r *sql.Rows) (*cloud.Key, error) {
			k, err := scanKey(r)
			if err != nil {
				return nil, err
			}
			return &k.Key, nil
		},
		at: func(k *cloud.Key) position { return position(k.ID) },
	}.page(ctx, c.db, p)
}

// CreateKey makes a key of by's user and returns its text, which is not kept. What a key may
// do is decided at each use by its scopes, its app and its user's rights at that moment. Who
// acts through a key can only make keys that don't exceed it (Forbidden).
func (c *Control) CreateKey(ctx context.Context, by *cloud.Principal, in KeyInput) (*cloud.Key, string, error) {
	if err := c.checkKey(by, &in); err != nil {
		return nil, "", err
	}
	var k *cloud.Key
	var text string
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) (err error) {
		if err := mayHandKey(tx.Rx, by, in.Scopes, in.App, in.ExpiresAt); err != nil {
			return err
		}
		k, text, err = insertKey(tx, by.User, in)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	return k, text, nil
}

func (c *Control) checkKey(by *cloud.Principal, in *KeyInput) error {
	if err := checkName("name", in.Name); err != nil {
		return err
	}
	var scopes []cloud.Scope
	for _, s := range cloud.Scopes {
		if slices.Contains(in.Scopes, s) {
			scopes = append(scopes, s)
		}
	}
	for _, s := range in.Scopes {
		if !slices.Contains(cloud.Scopes, s) {
			return cloud.Errorf(cloud.Invalid, "scopes: %q is unknown: there are %v", s, cloud.Scopes)
		}
	}
	if len(scopes) == 0 {
		return cloud.Errorf(cloud.Invalid, "scopes: name one or more of %v", cloud.Scopes)
	}
	in.Scopes = scopes
	if !in.App.IsZero() && (c.live.app(in.App) == nil || by.RoleIn(in.App) == "") {
		return errNoApp
	}
	if !in.ExpiresAt.IsZero() && in.ExpiresAt <= c.now() {
		return cloud.Errorf(cloud.Invalid, "expires_at: lies in the past")
	}
	return nil
}

// mayHandKey asks whether by may make or delete a key like that: a session may, a key only
// when the other doesn't exceed it.
func mayHandKey(rx *db.Rx, by *cloud.Principal, scopes []cloud.Scope, app cloud.AppID, expires cloud.Time) error {
	if by.Key.IsZero() {
		return nil
	}
	own, err := scanKey(rx.QueryRow("SELECT "+keyColumns+" FROM api_keys WHERE id = ?", by.Key))
	if errors.Is(err, sql.ErrNoRows) {
		return errUnknown
	}
	if err != nil {
		return fmt.Errorf("read key: %w", err)
	}
	for _, s := range scopes {
		if !slices.Contains(own.Scopes, s) {
			return cloud.Errorf(cloud.Forbidden, "scopes: this key has no scope %s itself; log in to do that", s)
		}
	}
	if !own.AppID.IsZero() && own.AppID != app {
		return cloud.Errorf(cloud.Forbidden, "app: this key is bound to another app; log in to do that")
	}
	if !own.ExpiresAt.IsZero() && (expires.IsZero() || expires > own.ExpiresAt) {
		return cloud.Errorf(cloud.Forbidden, "expires_at: this key expires sooner itself; log in to do that")
	}
	return nil
}

func insertKey(tx *db.Tx, u cloud.UserID, in KeyInput) (*cloud.Key, string, error) {
	var have int
	if err := tx.QueryRow("SELECT COUNT(*) FROM api_keys WHERE user_id = ?", u).Scan(&have); err != nil {
		return nil, "", fmt.Errorf("count keys: %w", err)
	}
	if have >= maxKeys {
		return nil, "", cloud.Errorf(cloud.Conflict, "you have %d keys, which is the most: delete some first", have)
	}
	k := &cloud.Key{ID: cloud.NewID[cloud.KeyID](), UserID: u, Name: in.Name, Prefix: randomText(keyPrefix),
		Scopes: in.Scopes, AppID: in.App, ExpiresAt: in.ExpiresAt, CreatedAt: cloud.TimeOf(tx.Now)}
	secret := randomText(keySecret)
	hash := sha256.Sum256([]byte(secret))
	scopes, err := json.Marshal(k.Scopes)
	if err != nil {
		return nil, "", fmt.Errorf("encode scopes: %w", err)
	}
	_, err = tx.Exec("INSERT INTO api_keys (id, user_id, name, prefix, secret_hash, scopes, app_id, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, NULLIF(?, 0), ?)",
		k.ID, k.UserID, k.Name, k.Prefix, hash[:], string(scopes), k.AppID, k.ExpiresAt, k.CreatedAt)
	if db.IsForeignKey(err) {
		return nil, "", cloud.Errorf(cloud.NotFound, "the user or the app is gone")
	}
	if err != nil {
		return nil, "", fmt.Errorf("store key: %w", err)
	}
	return k, keyStart + k.Prefix + secret, nil
}

// DeleteKey deletes one of the keys of by's user; it stops working at once. Who acts through
// a key can only delete keys that don't exceed it (Forbidden).
func (c *Control) DeleteKey(ctx context.Context, by *cloud.Principal, id cloud.KeyID) error {
	return c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		k, err := scanKey(tx.QueryRow("SELECT "+keyColumns+" FROM api_keys WHERE id = ? AND user_id = ?", id, by.User))
		if errors.Is(err, sql.ErrNoRows) {
			return cloud.Errorf(cloud.NotFound, "no such key")
		}
		if err != nil {
			return fmt.Errorf("read key: %w", err)
		}
		if err := mayHandKey(tx.Rx, by, k.Scopes, k.AppID, k.ExpiresAt); err != nil {
			return err
		}
		if _, err := tx.Exec("DELETE FROM api_keys WHERE id = ?", id); err != nil {
			return fmt.Errorf("delete key: %w", err)
		}
		tx.AfterCommit(func() { c.keys.drop(k.Prefix) })
		return nil
	})
}
