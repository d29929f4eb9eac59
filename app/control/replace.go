package control

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

// Replacement is a change of all that an app has, at once.
type Replacement struct {
	App cloud.AppID
	// Change makes it. It may run more than once; its error undoes everything.
	Change func(context.Context, *db.Tx) error
	// SkipTaken leaves out routes that another app has; otherwise they are a Conflict.
	SkipTaken bool
	// Skipped are the routes that were left out.
	Skipped []string
}

// Replace makes a replacement in one transaction. What the app has then is live when Replace
// returns: its routes, hosts and scripts. No two apps get the same route by it.
func (c *Control) Replace(ctx context.Context, r *Replacement) error {
	if err := c.routing.acquire(ctx); err != nil {
		return err
	}
	defer c.routing.release()
	err := c.db.UpdateFor(ctx, db.Cause{App: r.App}, func(ctx context.Context, tx *db.Tx) error {
		r.Skipped = nil
		if err := r.Change(ctx, tx); err != nil {
			return err
		}
		return c.takeReplaced(tx, r)
	})
	c.live.publish()
	return err
}

// NewApp inserts the row of an app that Change is about to fill. A slug that is taken is a
// Conflict; an empty one, or one that can't be a slug, Invalid.
func (c *Control) NewApp(tx *db.Tx, a *cloud.App, quotas string) error {
	if err := errors.Join(checkSlug(a.Slug), checkName("name", a.Name), checkDescription(a.Description)); err != nil {
		return err
	}
	a.CreatedAt = cloud.TimeOf(tx.Now)
	a.UpdatedAt = a.CreatedAt
	_, err := tx.Exec("INSERT INTO apps (id, slug, name, description, quotas, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
		a.ID, a.Slug, a.Name, a.Description, quotas, a.CreatedAt, a.UpdatedAt)
	if err != nil {
		return storeApp(err, a.Slug)
	}
	if _, err := tx.Exec("DELETE FROM former_slugs WHERE slug = ?", a.Slug); err != nil {
		return fmt.Errorf("take over a former slug: %w", err)
	}
	_, err = appByID(tx.Rx, a.ID) // the quotas of a file may be no quotas
	if err != nil {
		return cloud.Errorf(cloud.Invalid, "the file's quotas can't be read").WithCause(err)
	}
	return nil
}

// ScriptIDs lists the scripts of an app.
func (c *Control) ScriptIDs(rx *db.Rx, app cloud.AppID) (ids []cloud.ScriptID, err error) {
	rows, err := rx.Query("SELECT id FROM scripts WHERE app_id = ?", app)
	if err != nil {
		return nil, fmt.Errorf("list scripts: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var s cloud.ScriptID
		if err := rows.Scan(&s); err != nil {
			return nil, fmt.Errorf("list scripts: %w", err)
		}
		ids = append(ids, s)
	}
	return ids, rows.Err()
}

// takeReplaced checks the routes that the app has now, and takes everything into memory at
// the commit.
func (c *Control) takeReplaced(tx *db.Tx, r *Replacement) error {
	a, err := appByID(tx.Rx, r.App)
	if err != nil {
		return err
	}
	fresh := newLive(c.o.Logger)
	if err := errors.Join(fresh.loadDomainsOf(tx.Rx, r.App), fresh.loadRoutesOf(tx.Rx, r.App)); err != nil {
		return fmt.Errorf("read the app's routes: %w", err)
	}
	if err := c.checkReplaced(tx, r, fresh); err != nil {
		return err
	}
	tx.AfterCommit(func() {
		c.live.replace(a, fresh)
		c.scripts.clear()
		c.accounts.clear() // memberships
	})
	return nil
}

// checkReplaced finds the routes that stand in another app's way.
func (c *Control) checkReplaced(tx *db.Tx, r *Replacement, fresh *live) error {
	claims, err := route.Compile(nil, values(fresh.domains), nil)
	if err != nil {
		return cloud.Errorf(cloud.Invalid, "the app's domains can't be used").WithCause(err)
	}
	for _, rt := range values(fresh.routes) {
		why := c.inTheWay(rt, claims.Owner(rt.Host) == r.App)
		if why == "" {
			continue
		}
		if !r.SkipTaken {
			return cloud.Errorf(cloud.Conflict, "the route %s: %s; change that first, or leave out what is taken (skip_taken)", describe(rt), why)
		}
		if _, err := tx.Exec("DELETE FROM routes WHERE id = ?", rt.ID); err != nil {
			return fmt.Errorf("leave out a route: %w", err)
		}
		r.Skipped = append(r.Skipped, "route "+describe(rt)+": "+why)
		fresh.dropRoute(rt.ID)
	}
	return nil
}

// inTheWay says which route or claim of another app a route collides with.
func (c *Control) inTheWay(r *cloud.Route, ownHost bool) string {
	if r.HostKind != route.Any {
		if owner := c.Routes().Owner(r.Host); !owner.IsZero() && owner != r.AppID {
			return "another app has claimed " + r.Host
		}
		if ownHost {
			return "" // others' routes for this host are out of reach
		}
	}
	var others []*cloud.Route
	for _, o := range c.live.like(r) {
		if o.AppID != r.AppID {
			others = append(others, o)
		}
	}
	if route.Overlap(r, others) != nil {
		return "another app has it"
	}
	return ""
}

func values[K comparable, V any](m map[K]V) []V {
	list := make([]V, 0, len(m))
	for v := range maps.Values(m) {
		list = append(list, v)
	}
	return list
}

// replace puts what an app has now in the place of what it had, at once: no route table is
// made in between.
func (l *live) replace(a *liveApp, fresh *live) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.setAppLocked(a)
	maps.DeleteFunc(l.domains, func(_ cloud.DomainID, d *cloud.Domain) bool { return d.AppID == a.ID })
	l.dropRoutesLocked(func(r *cloud.Route) bool { return r.AppID == a.ID })
	maps.Copy(l.domains, fresh.domains)
	l.hosts = true
	for _, r := range fresh.routes {
		l.addRouteLocked(r)
	}
}
