// Package control is what operators manage: apps, domains, users, members, keys, sessions,
// scripts, versions and routes.
//
// What requests ask for all the time is answered from memory: principals, sessions, keys
// and scripts from bounded caches that commits invalidate, apps, slugs, claimed hosts and
// the route table from a complete copy that commits keep in step (live.go). When a method
// that changes something has returned, every later lookup sees the change.
package control

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

// Compiler checks a script before it is stored, and fills in its Imports. *executor.Executor is the real one.
type Compiler interface {
	Check(ctx context.Context, s *cloud.Script) error
}

// Options of New. The zero value works, but scripts can't be saved without a Compiler.
type Options struct {
	SessionTTL time.Duration // how long a session lasts after its last use; 0: 7 days
	Now        func() time.Time
	Logger     *slog.Logger
	Compiler   Compiler
	// OnDelete is told of each deleted script and, with a zero script, of each deleted app,
	// on the database writer's goroutine after the commit: it must not block. Foreign keys
	// have deleted routes, triggers and data by then.
	OnDelete func(cloud.AppID, cloud.ScriptID)
	AuditCap int // most entries of the audit log; 0: 100,000

	hash hashParams // tests make it cheap
}

func (o Options) withDefaults() Options {
	if o.SessionTTL <= 0 {
		o.SessionTTL = 7 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.OnDelete == nil {
		o.OnDelete = func(cloud.AppID, cloud.ScriptID) {}
	}
	if o.AuditCap <= 0 {
		o.AuditCap = 100_000
	}
	if o.hash == (hashParams{}) {
		o.hash = piHash
	}
	return o
}

// Bounds of the caches.
const (
	cachedAccounts    = 1 << 10
	cachedSessions    = 1 << 12
	cachedKeys        = 1 << 12
	cachedScriptBytes = 16 << 20
	cachedNames       = 1 << 12
)

// Control is safe for concurrent use.
type Control struct {
	db *db.DB
	o  Options

	live     *live
	accounts *cache[cloud.UserID, *account]
	sessions *cache[[sha256.Size]byte, *session]
	keys     *cache[string, *key] // by prefix
	scripts  *cache[cloud.ScriptID, *cloud.Script]
	named    *cache[scriptName, cloud.ScriptID]

	passwords *passwords
	throttle  *throttle
	audit     *auditor
	setup     setup
	owned     atomic.Bool // an owner exists, and the last one can't be removed

	// routing is held from the check of a route against the others until the table with it
	// is live, and while a host is claimed: checks read what is live.
	routing semaphore
}

// New reads what is kept in memory. The database must be the migrated state.
func New(ctx context.Context, d *db.DB, o Options) (*Control, error) {
	o = o.withDefaults()
	c := &Control{
		db: d, o: o,
		live:      newLive(o.Logger),
		accounts:  newCache[cloud.UserID, *account](cachedAccounts, nil),
		sessions:  newCache[[sha256.Size]byte, *session](cachedSessions, nil),
		keys:      newCache[string, *key](cachedKeys, nil),
		scripts:   newCache[cloud.ScriptID](cachedScriptBytes, weighScript),
		named:     newCache[scriptName, cloud.ScriptID](cachedNames, nil),
		passwords: newPasswords(o.hash),
		throttle:  newThrottle(o.Now),
		audit:     &auditor{cap: o.AuditCap},
		routing:   newSemaphore(1),
	}
	err := d.View(ctx, func(ctx context.Context, rx *db.Rx) error {
		return errors.Join(c.live.load(rx), c.audit.load(rx))
	})
	if err != nil {
		return nil, fmt.Errorf("read apps and routes: %w", err)
	}
	if err := c.live.compile(); err != nil {
		return nil, fmt.Errorf("compile the route table: %w", err)
	}
	return c, nil
}

// SetCompiler sets what checks scripts; call it before the first request. It breaks the
// circle of a Control that needs an executor that needs a Control.
func (c *Control) SetCompiler(comp Compiler) { c.o.Compiler = comp }

// Routes is the current table: one atomic load.
func (c *Control) Routes() *route.Table { return c.live.table.Load() }

// FormerSlug is the slug that the app has now which was called slug before.
func (c *Control) FormerSlug(slug string) (current string, ok bool) { return c.live.formerSlug(slug) }

func (c *Control) now() cloud.Time { return cloud.TimeOf(c.o.Now()) }

// semaphore bounds how many are inside; waiting ends with the context.
type semaphore chan struct{}

func newSemaphore(n int) semaphore { return make(semaphore, n) }

func (s semaphore) acquire(ctx context.Context) error {
	select {
	case s <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s semaphore) release() { <-s }
