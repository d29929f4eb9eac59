package control

import (
	"context"
	"database/sql"
	"fmt"

	"picloud/app/cloud"
	"picloud/app/route"
	"picloud/db"
)

const domainColumns = "id, app_id, host, kind, created_at"

func scanDomain(row interface{ Scan(...any) error }) (*cloud.Domain, error) {
	var d cloud.Domain
	err := row.Scan(&d.ID, &d.AppID, &d.Host, &d.Kind, &d.CreatedAt)
	return &d, err
}

// Domains lists the hosts that an app has claimed.
func (c *Control) Domains(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Domain, string, error) {
	return lister[*cloud.Domain]{
		query: "SELECT " + domainColumns + " FROM domains WHERE app_id = ? AND id > ? ORDER BY id LIMIT ?",
		args:  []any{app},
		scan:  func(r *sql.Rows) (*cloud.Domain, error) { return scanDomain(r) },
		at:    func(d *cloud.Domain) position { return position(d.ID) },
	}.page(ctx, c.db, p)
}

// CreateDomain claims a host for an app: from then on requests for it reach that app only.
// A host has one owner (Conflict); an exact host may lie within somebody's wildcard, and
// goes before it.
func (c *Control) CreateDomain(ctx context.Context, app cloud.AppID, host, kind string) (*cloud.Domain, error) {
	host, err := route.CheckHost(kind, host)
	if err != nil {
		return nil, err
	}
	if err := c.routing.acquire(ctx); err != nil {
		return nil, err
	}
	defer c.routing.release()
	var d *cloud.Domain
	err = c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		d = &cloud.Domain{ID: cloud.NewID[cloud.DomainID](), AppID: app, Host: host, Kind: kind, CreatedAt: cloud.TimeOf(tx.Now)}
		_, err := tx.Exec("INSERT INTO domains (id, app_id, host, kind, created_at) VALUES (?, ?, ?, ?, ?)", d.ID, d.AppID, d.Host, d.Kind, d.CreatedAt)
		switch {
		case db.IsUnique(err):
			return c.claimed(tx.Rx, app, host)
		case db.IsForeignKey(err):
			return errNoApp
		case err != nil:
			return fmt.Errorf("store domain: %w", err)
		}
		tx.AfterCommit(func() { c.live.setDomain(d) })
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.live.publish()
	claimed := *d
	return &claimed, nil
}

func (c *Control) claimed(rx *db.Rx, app cloud.AppID, host string) error {
	var owner cloud.AppID
	if err := rx.QueryRow("SELECT app_id FROM domains WHERE host = ?", host).Scan(&owner); err != nil {
		return fmt.Errorf("read the owner of a host: %w", err)
	}
	if owner == app {
		return cloud.Errorf(cloud.Conflict, "host: this app has claimed %s already", host)
	}
	return cloud.Errorf(cloud.Conflict, "host: another app has claimed %s", host)
}

// DeleteDomain gives a host back.
func (c *Control) DeleteDomain(ctx context.Context, app cloud.AppID, id cloud.DomainID) error {
	err := c.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		res, err := tx.Exec("DELETE FROM domains WHERE id = ? AND app_id = ?", id, app)
		if err != nil {
			return fmt.Errorf("delete domain: %w", err)
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return cloud.Errorf(cloud.NotFound, "no such domain")
		}
		tx.AfterCommit(func() { c.live.dropDomains(func(d *cloud.Domain) bool { return d.ID == id }) })
		return nil
	})
	c.live.publish()
	return err
}
