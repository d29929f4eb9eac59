package deploy

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Rollback makes the app hold what the deployment number held, with the ids that things had
// then, as a deployment of its own; 0 is the one before that which is in force, so that
// rolling back again goes back further. It fails as a deployment fails.
func (d *Deployer) Rollback(ctx context.Context, by *cloud.Principal, app cloud.AppID, number int) (*Outcome, error) {
	p, number, err := d.earlier(ctx, app, number)
	if err != nil {
		return nil, err
	}
	return d.deploy(ctx, by, app, p, number)
}

// PlanRollback says what Rollback would change.
func (d *Deployer) PlanRollback(ctx context.Context, by *cloud.Principal, app cloud.AppID, number int) (*Outcome, error) {
	p, _, err := d.earlier(ctx, app, number)
	if err != nil {
		return nil, err
	}
	return d.Plan(ctx, by, app, p)
}

// earlier is the project that a deployment was, and its number.
func (d *Deployer) earlier(ctx context.Context, app cloud.AppID, number int) (*Project, int, error) {
	p := &Project{}
	err := d.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		k, err := find(rx, app, number)
		if err != nil {
			return err
		}
		sources, err := k.sources(rx, app)
		if err != nil {
			return err
		}
		for _, s := range k.has {
			f, err := s.restore(sources[s.Source])
			if err != nil {
				return err
			}
			p.Functions = append(p.Functions, f)
		}
		number, p.Note = k.Restores, fmt.Sprintf("rollback to %d", k.Number)
		return nil
	})
	return p, number, err
}

func find(rx *db.Rx, app cloud.AppID, number int) (*kept, error) {
	last, err := newest(rx, app)
	if err != nil {
		return nil, fmt.Errorf("read the newest deployment: %w", err)
	}
	if last == nil {
		return nil, cloud.Errorf(cloud.NotFound, "the app has no deployments")
	}
	query, arg := "SELECT "+keptColumns+" FROM deployments WHERE app_id = ? AND number = ?", number
	if number == 0 {
		query, arg = "SELECT "+keptColumns+" FROM deployments WHERE app_id = ? AND number < ? ORDER BY number DESC LIMIT 1", last.Restores
	}
	k, err := scanKept(rx.QueryRow(query, app, arg))
	switch {
	case errors.Is(err, sql.ErrNoRows) && number == 0:
		return nil, cloud.Errorf(cloud.NotFound, "there is no earlier deployment: the last %d are kept", Kept)
	case errors.Is(err, sql.ErrNoRows):
		return nil, cloud.Errorf(cloud.NotFound, "there is no deployment %d: the last %d are kept", number, Kept)
	case err != nil:
		return nil, fmt.Errorf("read a deployment: %w", err)
	}
	return k, nil
}
