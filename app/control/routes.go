package control

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

const routeColumns = "id, app_id, script_id, host_kind, host, host_param_name, path_kind, path, method, dispatch_mode, created_at"

func scanRoute(row interface{ Scan(...any) error }) (*cloud.Route, error) {
	var r cloud.Route
	err := row.Scan(&r.ID, &r.AppID, &r.ScriptID, &r.HostKind, &r.Host, &r.HostParamName, &r.PathKind, &r.Path, &r.Method, &r.DispatchMode, &r.CreatedAt)
	return &r, err
}

// AppRoutes lists an app's routes.
func (c *Control) AppRoutes(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Route, string, error) {
	return c.listRoutes(ctx, "SELECT "+routeColumns+" FROM routes WHERE app_id = ? AND id > ? ORDER BY id LIMIT ?", app, p)
}

// ScriptRoutes lists the routes that lead to a script.
func (c *Control) ScriptRoutes(ctx context.Context, id cloud.ScriptID, p cloud.Page) ([]*cloud.Route, string, error) {
	return c.listRoutes(ctx, "SELECT "+routeColumns+" FROM routes WHERE script_id = ? AND id > ? ORDER BY id LIMIT ?", id, p)
}

func (c *Control) listRoutes(ctx context.Context, query string, of any, p cloud.Page) ([]*cloud.Route, string, error) {
	return lister[*cloud.Route]{
		query: query,
		args:  []any{of},
		scan:  func(r *sql.Rows) (*cloud.Route, error) { return scanRoute(r) },
		at:    func(r *cloud.Route) position { return position(r.ID) },
	}.page(ctx, c.db, p)
}

var errNoRoute = cloud.Errorf(cloud.NotFound, "no such route")

// Route finds one.
func (c *Control) Route(ctx context.Context, id cloud.RouteID) (*cloud.Route, error) {
	r := c.live.route(id)
	if r == nil {
		return nil, errNoRoute
	}
	found := *r
	return &found, nil
}

// CreateRoute makes a route to r.ScriptID and fills in its id, app, time and defaults. It is
// in use when CreateRoute returns. A Conflict says which route has the pattern already, or
// that the host is another app's.
func (c *Control) CreateRoute(ctx context.Context, r *cloud.Route) error {
	script, err := c.Script(ctx, r.ScriptID)
	if err != nil {
		return err
	}
	if script.Kind == cloud.KindModule {
		return errModuleRuns(script)
	}
	made := *r
	made.ID, made.AppID = cloud.NewID[cloud.RouteID](), script.AppID
	if err := route.Check(&made); err != nil {
		return err
	}
	if err := c.routing.acquire(ctx); err != nil {
		return err
	}
	defer c.routing.release()
	if err := c.checkFree(ctx, &made, nil); err != nil {
		return err
	}
	err = c.db.UpdateFor(ctx, db.Cause{App: made.AppID}, func(ctx context.Context, tx *db.Tx) error {
		made.CreatedAt = cloud.TimeOf(tx.Now)
		return c.insertRoute(tx, made)
	})
	if err != nil {
		return err
	}
	c.live.publish()
	*r = made
	return nil
}

// checkFree reads what is live: routing is held, so that every route has got there. Routes
// that are leaving are in nobody's way.
func (c *Control) checkFree(ctx context.Context, r *cloud.Route, leaving func(*cloud.Route) bool) error {
	others := c.live.like(r)
	if leaving != nil {
		others = slices.DeleteFunc(others, leaving)
	}
	if r.HostKind != route.Any {
		owner := c.Routes().Owner(r.Host)
		if !owner.IsZero() && owner != r.AppID {
			return cloud.Errorf(cloud.Conflict, "host: another app has claimed %s", r.Host)
		}
		if owner == r.AppID { // others' routes for this host are out of reach
			others = slices.DeleteFunc(others, func(o *cloud.Route) bool { return o.AppID != owner })
		}
	}
	o := route.Overlap(r, others)
	if o == nil {
		return nil
	}
	if o.AppID != r.AppID {
		return cloud.Errorf(cloud.Conflict, "another app has the route %s: claim the host as a domain of this app first, or choose another path", describe(o))
	}
	name := "a script that was just deleted"
	if s, err := c.Script(ctx, o.ScriptID); err == nil {
		name = fmt.Sprintf("the script %q", s.Name)
	}
	return cloud.Errorf(cloud.Conflict, "the route %s leads to %s already (route %s): delete it first, or choose another path or method", describe(o), name, o.ID)
}

// describe is a route as people write it.
func describe(r *cloud.Route) string {
	method, host := r.Method, r.Host
	if method == "" {
		method = "ANY"
	}
	return method + " " + host + r.Path
}

func (c *Control) insertRoute(tx *db.Tx, r cloud.Route) error {
	if err := storeRoute(tx, &r); err != nil {
		return err
	}
	tx.AfterCommit(func() { c.live.addRoute(&r) })
	return nil
}

func storeRoute(tx *db.Tx, r *cloud.Route) error {
	_, err := tx.Exec("INSERT INTO routes ("+routeColumns+") VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
		r.ID, r.AppID, r.ScriptID, r.HostKind, r.Host, r.HostParamName, r.PathKind, r.Path, r.Method, r.DispatchMode, r.CreatedAt)
	if db.IsForeignKey(err) {
		return errNoScript
	}
	if err != nil {
		return fmt.Errorf("store route: %w", err)
	}
	return nil
}

// DeleteRoute deletes one; it is out of use when DeleteRoute returns.
func (c *Control) DeleteRoute(ctx context.Context, id cloud.RouteID) error {
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec("DELETE FROM routes WHERE id = ?", id)
		if err != nil {
			return fmt.Errorf("delete route: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return errNoRoute
		}
		tx.AfterCommit(func() { c.live.dropRoute(id) })
		return nil
	})
	c.live.publish()
	return err
}
