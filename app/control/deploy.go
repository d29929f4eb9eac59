package control

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"slices"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

// A deployment changes scripts and routes in a transaction of its own, beside what others
// own: here are its parts. The caller has checked what it stores with FillScript and
// CompileScript and, while it holds Routing, with FreeRoute.

// ScriptsTx are all scripts of an app with their sources, by id.
func (c *Control) ScriptsTx(rx *db.Rx, app cloud.AppID) ([]*cloud.Script, error) {
	rows, err := rx.Query("SELECT "+scriptColumns+" WHERE s.app_id = ? ORDER BY s.id", app)
	if err != nil {
		return nil, fmt.Errorf("read scripts: %w", err)
	}
	return all(rows, func(r *sql.Rows) (*cloud.Script, error) { return scanScript(r) })
}

// RoutesTx are all routes of an app, by id.
func (c *Control) RoutesTx(rx *db.Rx, app cloud.AppID) ([]*cloud.Route, error) {
	rows, err := rx.Query("SELECT "+routeColumns+" FROM routes WHERE app_id = ? ORDER BY id", app)
	if err != nil {
		return nil, fmt.Errorf("read routes: %w", err)
	}
	return all(rows, func(r *sql.Rows) (*cloud.Route, error) { return scanRoute(r) })
}

func all[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) (found []T, err error) {
	defer rows.Close()
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, err
		}
		found = append(found, x)
	}
	return found, rows.Err()
}

// FillScript fills in defaults and checks everything but the source's syntax.
func (c *Control) FillScript(s *cloud.Script) error {
	a := c.live.app(s.AppID)
	if a == nil {
		return errNoApp
	}
	s.AppSlug = a.Slug
	return checkScript(s)
}

// CompileScript checks the source. A source that doesn't compile is Invalid, with line and
// column.
func (c *Control) CompileScript(ctx context.Context, s *cloud.Script) error {
	return c.compileScript(ctx, s)
}

// CreateScriptTx stores a script that has its id.
func (c *Control) CreateScriptTx(tx *db.Tx, by *cloud.Principal, s *cloud.Script) error {
	s.Version, s.CreatedAt = 1, cloud.TimeOf(tx.Now)
	s.UpdatedAt = s.CreatedAt
	return insertScript(tx, by, s)
}

// UpdateScriptTx stores s as the next version of a script.
func (c *Control) UpdateScriptTx(tx *db.Tx, by *cloud.Principal, s *cloud.Script) error {
	now, err := scriptByID(tx.Rx, s.ID)
	if err != nil {
		return err
	}
	return c.updateScript(tx, by, s, now.Version)
}

// LinkScriptTx notes what modules a script imports, when all scripts that a deployment saves
// are stored. A module that isn't there, and a cycle, are Invalid.
func (c *Control) LinkScriptTx(tx *db.Tx, s *cloud.Script) error { return linkScript(tx, s) }

// UnlinkScriptTx forgets what a script imports that is about to be deleted.
func (c *Control) UnlinkScriptTx(tx *db.Tx, id cloud.ScriptID) error {
	_, err := tx.Exec(unlinkScript, id)
	return err
}

// DeleteScriptTx deletes a script with its versions, routes and triggers.
func (c *Control) DeleteScriptTx(tx *db.Tx, id cloud.ScriptID) error { return c.deleteScript(tx, id) }

// Routing runs f while nobody else makes a route or claims a host. The route table has all
// changes when it returns.
func (c *Control) Routing(ctx context.Context, f func() error) error {
	if err := c.routing.acquire(ctx); err != nil {
		return err
	}
	defer c.routing.release()
	defer c.live.publish()
	return f()
}

// FreeRoute checks that r, which route.Check has passed, overlaps no route but those that
// are to go, and none of those that are made beside it.
func (c *Control) FreeRoute(ctx context.Context, r *cloud.Route, gone, beside []*cloud.Route) error {
	if o := route.Overlap(r, beside); o != nil {
		return cloud.Errorf(cloud.Conflict, "the route %s is there twice: leave one out, or give it another path or method", describe(o))
	}
	return c.checkFree(ctx, r, func(o *cloud.Route) bool {
		return slices.ContainsFunc(gone, func(g *cloud.Route) bool { return g.ID == o.ID })
	})
}

// ChangeRoutesTx deletes routes and makes others, which have their ids; requests see either
// all of that or nothing.
func (c *Control) ChangeRoutesTx(tx *db.Tx, gone, made []*cloud.Route) error {
	for _, r := range gone {
		if _, err := tx.Exec("DELETE FROM routes WHERE id = ?", r.ID); err != nil {
			return fmt.Errorf("delete route: %w", err)
		}
	}
	for _, r := range made {
		r.CreatedAt = cmp.Or(r.CreatedAt, cloud.TimeOf(tx.Now))
		if err := storeRoute(tx, r); err != nil {
			return err
		}
	}
	tx.AfterCommit(func() { c.live.swapRoutes(gone, made) })
	return nil
}

// Refresh returns when the route table has every change that was committed before.
func (c *Control) Refresh() { c.live.publish() }
