package control

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// From is where a request came from, for sessions, throttling and the audit log.
type From struct{ Address, UserAgent string }

const (
	tokenBytes   = 32  // random
	maxSessions  = 100 // of one user; the one unused for longest makes room
	maxUserAgent = 256 // bytes that are kept
	maxAddress   = 64

	// slideEvery bounds how often a use is written down.
	slideEvery = time.Hour
)

// errUnknown is the one answer to every session or key that doesn't open anything.
var errUnknown = cloud.Errorf(cloud.Unauthenticated, "log in first: the session or key is missing, unknown, expired or revoked")

// session is what the cache knows of one.
type session struct {
	id   cloud.SessionID
	user cloud.UserID

	lastUsed, expires atomic.Int64 // Unix milliseconds; they slide
}

// newToken returns 256 random bits as text.
func newToken() string {
	var b [tokenBytes]byte
	rand.Read(b[:])
	return base64.RawURLEncoding.EncodeToString(b[:])
}

var tokenLength = base64.RawURLEncoding.EncodedLen(tokenBytes)

// AuthenticateSession finds the principal of a session cookie. The error is Unauthenticated,
// and the same, whether the session is unknown or over or its user not active.
func (c *Control) AuthenticateSession(ctx context.Context, token string) (*cloud.Principal, error) {
	if len(token) != tokenLength {
		return nil, errUnknown
	}
	hash := sha256.Sum256([]byte(token))
	s, err := c.sessions.get(hash, func() (*session, error) { return c.loadSession(ctx, hash) })
	if err != nil {
		return nil, err
	}
	now := c.now()
	if expires := s.expires.Load(); int64(now) >= expires || int64(now.Add(2*c.o.SessionTTL)) < expires { // or it began while the clock was ahead
		return nil, errUnknown
	}
	a, err := c.activeAccount(ctx, s.user)
	if err != nil {
		return nil, err
	}
	c.slideSession(ctx, s, now)
	p := a.principal()
	p.Session = s.id
	return p, nil
}

func (c *Control) loadSession(ctx context.Context, hash [sha256.Size]byte) (*session, error) {
	var s session
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
		var lastUsed, expires int64
		err := rx.QueryRow("SELECT id, user_id, last_used_at, expires_at FROM sessions WHERE token_hash = ?", hash[:]).
			Scan(&s.id, &s.user, &lastUsed, &expires)
		s.lastUsed.Store(lastUsed)
		s.expires.Store(expires)
		return err
	})
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errUnknown
	}
	if err != nil {
		return nil, fmt.Errorf("read session: %w", err)
	}
	return &s, nil
}

// activeAccount is the account behind a session or key.
func (c *Control) activeAccount(ctx context.Context, id cloud.UserID) (*account, error) {
	a, err := c.account(ctx, id)
	if errors.Is(err, errNoUser) || err == nil && !a.user.IsActive {
		return nil, errUnknown
	}
	return a, err
}

// slideSession lets the session last longer. That it could not be written down is no reason
// to refuse the request.
func (c *Control) slideSession(ctx context.Context, s *session, now cloud.Time) {
	last := s.lastUsed.Load()
	every := min(slideEvery, c.o.SessionTTL/60)
	if now.Time().Sub(cloud.Time(last).Time()) < every || !s.lastUsed.CompareAndSwap(last, int64(now)) {
		return
	}
	expires := now.Add(c.o.SessionTTL)
	s.expires.Store(int64(expires))
	err := c.db.UpdateLazy(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := tx.Exec("UPDATE sessions SET last_used_at = ?, expires_at = ? WHERE id = ?", now, expires, s.id)
		return err
	})
	if err != nil && ctx.Err() == nil {
		c.o.Logger.Warn("a session's last use was not stored", "session", s.id.String(), "err", err)
	}
}

// startSession makes a session and returns its token. It clears away what is over.
func (c *Control) startSession(tx *db.Tx, u cloud.UserID, from From) (string, error) {
	token := newToken()
	hash := sha256.Sum256([]byte(token))
	now := cloud.TimeOf(tx.Now)
	if _, err := tx.Exec("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE expires_at <= ? LIMIT 100)", now); err != nil {
		return "", fmt.Errorf("delete expired sessions: %w", err)
	}
	res, err := tx.Exec("DELETE FROM sessions WHERE id IN (SELECT id FROM sessions WHERE user_id = ? ORDER BY last_used_at DESC LIMIT -1 OFFSET ?)", u, maxSessions-1)
	if err != nil {
		return "", fmt.Errorf("delete the oldest sessions: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n > 0 {
		tx.AfterCommit(c.sessions.clear)
	}
	_, err = tx.Exec("INSERT INTO sessions (id, user_id, token_hash, address, user_agent, created_at, last_used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
		cloud.NewID[cloud.SessionID](), u, hash[:], clip(from.Address, maxAddress), clip(from.UserAgent, maxUserAgent), now, now, now.Add(c.o.SessionTTL))
	if err != nil {
		return "", fmt.Errorf("store session: %w", err)
	}
	return token, nil
}

// Logout ends a session; one that is over already is no error.
func (c *Control) Logout(ctx context.Context, id cloud.SessionID) error {
	return c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		_, err := c.deleteSessions(tx, "DELETE FROM sessions WHERE id = ?", id)
		return err
	})
}

func (c *Control) deleteSessions(tx *db.Tx, query string, args ...any) (int64, error) {
	res, err := tx.Exec(query, args...)
	if err != nil {
		return 0, fmt.Errorf("delete sessions: %w", err)
	}
	tx.AfterCommit(c.sessions.clear)
	return res.RowsAffected()
}

// endSessions ends all sessions of a user but one.
func (c *Control) endSessions(tx *db.Tx, u cloud.UserID, but cloud.SessionID) error {
	_, err := c.deleteSessions(tx, "DELETE FROM sessions WHERE user_id = ? AND id <> ?", u, but[:])
	return err
}

// Sessions lists a user's sessions that are not over, last used first: at most 100.
func (c *Control) Sessions(ctx context.Context, u cloud.UserID) ([]*cloud.Session, error) {
	var list []*cloud.Session
	err := c.db.View(ctx, func(ctx context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT id, user_id, address, user_agent, created_at, last_used_at, expires_at FROM sessions
			WHERE user_id = ? AND expires_at > ? ORDER BY last_used_at DESC, id DESC LIMIT ?`, u, cloud.TimeOf(rx.Now), maxSessions)
		if err != nil {
			return err
		}
		defer rows.Close()
		list = []*cloud.Session{}
		for rows.Next() {
			var s cloud.Session
			if err := rows.Scan(&s.ID, &s.UserID, &s.Address, &s.UserAgent, &s.CreatedAt, &s.LastUsedAt, &s.ExpiresAt); err != nil {
				return err
			}
			list = append(list, &s)
		}
		return rows.Err()
	})
	if err != nil {
		return nil, fmt.Errorf("read sessions: %w", err)
	}
	return list, nil
}

// EndSession ends one of u's sessions.
func (c *Control) EndSession(ctx context.Context, u cloud.UserID, id cloud.SessionID) error {
	return c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		n, err := c.deleteSessions(tx, "DELETE FROM sessions WHERE id = ? AND user_id = ?", id, u)
		if err == nil && n == 0 {
			return cloud.Errorf(cloud.NotFound, "no such session")
		}
		return err
	})
}

// clip cuts s to n bytes of valid UTF-8.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && s[n]&0xc0 == 0x80 {
		n--
	}
	return s[:n]
}
