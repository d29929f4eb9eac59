package control

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// AppPatch changes what isn't nil.
type AppPatch struct {
	Slug        *string `json:"slug"`
	Name        *string `json:"name"`
	Description *string `json:"description"`
}

const maxDescription = 2000 // characters

// errNoApp is the answer for apps that don't exist and for those that are none of one's
// business.
var errNoApp = cloud.Errorf(cloud.NotFound, "no such app")

func checkSlug(s string) error {
	bad := func(r rune) bool { return r != '-' && (r < 'a' || r > 'z') && (r < '0' || r > '9') }
	if len(s) < 2 || len(s) > 40 || strings.ContainsFunc(s, bad) {
		return cloud.Errorf(cloud.Invalid, "slug: needs 2 to 40 of the characters a-z, 0-9 and -")
	}
	if _, err := cloud.ParseID[cloud.AppID](s); err == nil {
		return cloud.Errorf(cloud.Invalid, "slug: looks like an id; choose another")
	}
	return nil
}

// checkName checks a name that people read.
func checkName(field, s string) error {
	if n := utf8.RuneCountInString(s); n < 1 || n > maxName {
		return cloud.Errorf(cloud.Invalid, "%s: needs 1 to %d characters", field, maxName)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) || strings.TrimSpace(s) != s {
		return cloud.Errorf(cloud.Invalid, "%s: may not begin or end with a space or have control characters", field)
	}
	return nil
}

func checkDescription(s string) error {
	if !utf8.ValidString(s) || strings.ContainsRune(s, 0) || utf8.RuneCountInString(s) > maxDescription {
		return cloud.Errorf(cloud.Invalid, "description: has more than %d characters or is not text", maxDescription)
	}
	return nil
}

const appColumns = "id, slug, name, description, created_at, updated_at, quotas, outbound_allow"

func scanApp(row interface{ Scan(...any) error }) (*liveApp, error) {
	var a liveApp
	var quotas, outbound string
	if err := row.Scan(&a.ID, &a.Slug, &a.Name, &a.Description, &a.CreatedAt, &a.UpdatedAt, &quotas, &outbound); err != nil {
		return nil, err
	}
	return &a, errors.Join(json.Unmarshal([]byte(quotas), &a.quotas), json.Unmarshal([]byte(outbound), &a.outbound))
}

func appByID(rx *db.Rx, id cloud.AppID) (*liveApp, error) {
	a, err := scanApp(rx.QueryRow("SELECT "+appColumns+" FROM apps WHERE id = ?", id))
	if errors.Is(err, sql.ErrNoRows) {
		return nil, errNoApp
	}
	if err != nil {
		return nil, fmt.Errorf("read app: %w", err)
	}
	return a, nil
}

// App finds an app by id or slug text; NotFound also when p has no role in it. A nil p may
// see every app. A former slug is found with moved set.
func (c *Control) App(ctx context.Context, p *cloud.Principal, ref string) (app *cloud.App, moved bool, err error) {
	a, moved := c.live.bySlug(ref)
	if id, err := cloud.ParseID[cloud.AppID](ref); err == nil {
		a, moved = c.live.app(id), false
	}
	if a == nil || p != nil && p.RoleIn(a.ID) == "" {
		return nil, false, errNoApp
	}
	found := a.App
	return &found, moved, nil
}

// HasApp reports whether there is such an app.
func (c *Control) HasApp(id cloud.AppID) bool { return c.live.app(id) != nil }

// Apps lists the apps that p may see; nil sees all. UnresolvedDeadLetters is left at zero.
func (c *Control) Apps(ctx context.Context, p *cloud.Principal, page cloud.Page) ([]*cloud.App, string, error) {
	if p != nil && (p.Role == cloud.Member || !p.App.IsZero()) {
		return c.appsOf(p, page)
	}
	return lister[*cloud.App]{
		query: "SELECT " + appColumns + " FROM apps WHERE id > ? ORDER BY id LIMIT ?",
		scan: func(r *sql.Rows) (*cloud.App, error) {
			a, err := scanApp(r)
			if err != nil {
				return nil, err
			}
			return &a.App, nil
		},
		at: func(a *cloud.App) position { return position(a.ID) },
	}.page(ctx, c.db, page)
}

// appsOf lists the few apps of somebody who doesn't see all.
func (c *Control) appsOf(p *cloud.Principal, page cloud.Page) ([]*cloud.App, string, error) {
	from, err := after(page, firstPosition)
	if err != nil {
		return nil, "", err
	}
	var ids []cloud.AppID
	for id := range p.Roles {
		ids = append(ids, id)
	}
	if !p.App.IsZero() {
		ids = []cloud.AppID{p.App}
	}
	ids = slices.DeleteFunc(ids, func(id cloud.AppID) bool { return p.RoleIn(id) == "" || slices.Compare(id[:], from[:]) <= 0 })
	slices.SortFunc(ids, func(a, b cloud.AppID) int { return slices.Compare(a[:], b[:]) })
	apps := []*cloud.App{}
	for _, id := range ids {
		a := c.live.app(id)
		if a == nil {
			continue
		}
		if len(apps) == page.Clamp() {
			return apps, position(apps[len(apps)-1].ID).cursor(), nil
		}
		found := a.App
		apps = append(apps, &found)
	}
	return apps, "", nil
}

// CreateApp makes an app. A slug that another app had before stops redirecting there.
func (c *Control) CreateApp(ctx context.Context, by *cloud.Principal, slug, name, description string) (*cloud.App, error) {
	if err := errors.Join(checkSlug(slug), checkName("name", name), checkDescription(description)); err != nil {
		return nil, err
	}
	var a *liveApp
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		now := cloud.TimeOf(tx.Now)
		a = &liveApp{App: cloud.App{ID: cloud.NewID[cloud.AppID](), Slug: slug, Name: name, Description: description, CreatedAt: now, UpdatedAt: now}}
		_, err := tx.Exec("INSERT INTO apps (id, slug, name, description, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)",
			a.ID, a.Slug, a.Name, a.Description, a.CreatedAt, a.UpdatedAt)
		if err != nil {
			return storeApp(err, slug)
		}
		return c.takeSlug(tx, a)
	})
	if err != nil {
		return nil, err
	}
	c.live.publish()
	created := a.App
	return &created, nil
}

func storeApp(err error, slug string) error {
	if db.IsUnique(err) {
		return cloud.Errorf(cloud.Conflict, "slug: %q belongs to another app", slug)
	}
	return fmt.Errorf("store app: %w", err)
}

// takeSlug ends redirects of a's slug, and makes a live.
func (c *Control) takeSlug(tx *db.Tx, a *liveApp) error {
	if _, err := tx.Exec("DELETE FROM former_slugs WHERE slug = ?", a.Slug); err != nil {
		return fmt.Errorf("take over a former slug: %w", err)
	}
	tx.AfterCommit(func() { c.live.setApp(a) })
	return nil
}

// UpdateApp changes an app. The slug it had keeps redirecting until an app takes it.
func (c *Control) UpdateApp(ctx context.Context, id cloud.AppID, p AppPatch) (*cloud.App, error) {
	var a *liveApp
	err := c.db.UpdateFor(ctx, db.Cause{App: id}, func(ctx context.Context, tx *db.Tx) (err error) {
		a, err = c.updateApp(tx, id, p)
		return err
	})
	if err != nil {
		return nil, err
	}
	c.live.publish()
	updated := a.App
	return &updated, nil
}

func (c *Control) updateApp(tx *db.Tx, id cloud.AppID, p AppPatch) (*liveApp, error) {
	old, err := appByID(tx.Rx, id)
	if err != nil {
		return nil, err
	}
	a := *old
	a.Slug, a.Name, a.Description = orOld(p.Slug, a.Slug), orOld(p.Name, a.Name), orOld(p.Description, a.Description)
	a.UpdatedAt = cloud.TimeOf(tx.Now)
	if err := errors.Join(checkSlug(a.Slug), checkName("name", a.Name), checkDescription(a.Description)); err != nil {
		return nil, err
	}
	_, err = tx.Exec("UPDATE apps SET slug = ?, name = ?, description = ?, updated_at = ? WHERE id = ?", a.Slug, a.Name, a.Description, a.UpdatedAt, id)
	if err != nil {
		return nil, storeApp(err, a.Slug)
	}
	if a.Slug != old.Slug {
		_, err := tx.Exec("INSERT INTO former_slugs (slug, app_id, since) VALUES (?, ?, ?) ON CONFLICT (slug) DO UPDATE SET app_id = excluded.app_id, since = excluded.since",
			old.Slug, id, a.UpdatedAt)
		if err != nil {
			return nil, fmt.Errorf("keep the former slug: %w", err)
		}
		tx.AfterCommit(c.scripts.clear) // they know their app's slug
	}
	return &a, c.takeSlug(tx, &a)
}

// contents are the tables whose rows make an app non-empty, with what people call the rows.
var contents = []struct{ table, name string }{
	{"scripts", "scripts"}, {"domains", "domains"}, {"kv_entries", "data"}, {"dead_letters", "dead letters"}, {"outbox", "waiting events"},
}

// bulky are the tables that may hold so many rows of an app that they are emptied in
// batches, so that the writer isn't busy with one deletion for seconds.
var bulky = []string{"outbox", "dead_letters", "abandoned_executions", "kv_entries"}

const deleteBatch = 2000 // rows

// DeleteApp deletes an app with all it has. Without cascade an app that has something is a
// Conflict. With it the scripts go first, so that the app stops; then its data in batches,
// so that a power cut may leave an app half emptied, which can be deleted again.
func (c *Control) DeleteApp(ctx context.Context, id cloud.AppID, cascade bool) error {
	ctx = context.WithoutCancel(ctx)
	if cascade {
		if err := c.emptyApp(ctx, id); err != nil {
			return err
		}
	}
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := appByID(tx.Rx, id); err != nil {
			return err
		}
		if !cascade {
			if err := requireEmpty(tx.Rx, id); err != nil {
				return err
			}
		}
		if _, err := tx.Exec("DELETE FROM apps WHERE id = ?", id); err != nil {
			return fmt.Errorf("delete app: %w", err)
		}
		tx.AfterCommit(func() { c.forgetApp(id) })
		return nil
	})
	c.live.publish()
	return err
}

// forgetApp takes a deleted app out of memory.
func (c *Control) forgetApp(id cloud.AppID) {
	c.live.dropApp(id)
	c.scripts.clear()
	c.accounts.clear() // memberships
	c.keys.clear()     // bound ones
	c.o.OnDelete(id, cloud.ScriptID{})
}

func requireEmpty(rx *db.Rx, id cloud.AppID) error {
	for _, t := range contents {
		var has bool
		if err := rx.QueryRow("SELECT EXISTS (SELECT 1 FROM "+t.table+" WHERE app_id = ?)", id).Scan(&has); err != nil {
			return fmt.Errorf("look into %s: %w", t.table, err)
		}
		if has {
			return cloud.Errorf(cloud.Conflict, "the app still has %s: delete them first, or delete all of it with ?cascade=true", t.name)
		}
	}
	return nil
}

// emptyApp deletes what an app has, so that little is left for the foreign keys.
func (c *Control) emptyApp(ctx context.Context, id cloud.AppID) error {
	err := c.db.Update(ctx, func(ctx context.Context, tx *db.Tx) error {
		if _, err := appByID(tx.Rx, id); err != nil {
			return err
		}
		gone, err := deleteScripts(tx, id)
		tx.AfterCommit(func() {
			c.live.dropRoutes(func(r *cloud.Route) bool { return r.AppID == id })
			c.scripts.clear()
			c.named.clear()
			for _, s := range gone {
				c.o.OnDelete(id, s)
			}
			c.o.OnDelete(id, cloud.ScriptID{})
		})
		return err
	})
	c.live.publish()
	if err != nil {
		return fmt.Errorf("delete the app's scripts: %w", err)
	}
	for _, table := range bulky {
		if err := c.emptyTable(ctx, table, id); err != nil {
			return fmt.Errorf("delete the app's rows of %s: %w", table, err)
		}
	}
	return nil
}

// deleteScripts deletes an app's scripts and returns their ids.
func deleteScripts(tx *db.Tx, app cloud.AppID) ([]cloud.ScriptID, error) {
	rows, err := tx.Query("DELETE FROM scripts WHERE app_id = ? RETURNING id", app)
	if err != nil {
		return nil, err
	}
	return all(rows, func(rows *sql.Rows) (id cloud.ScriptID, err error) {
		err = rows.Scan(&id)
		return id, err
	})
}

func (c *Control) emptyTable(ctx context.Context, table string, id cloud.AppID) error {
	key := "id"
	if table == "kv_entries" {
		key = "(app_id, collection, key)"
	}
	columns := strings.Trim(key, "()")
	query := fmt.Sprintf("DELETE FROM %s WHERE %s IN (SELECT %s FROM %s WHERE app_id = ? LIMIT %d)", table, key, columns, table, deleteBatch)
	for {
		var n int64
		err := c.db.UpdateLazy(ctx, func(ctx context.Context, tx *db.Tx) error {
			res, err := tx.Exec(query, id)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil || n < deleteBatch {
			return err
		}
	}
}
