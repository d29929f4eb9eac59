package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"picloud/app/cloud"
	"picloud/app/replica"
	"picloud/app/web"
	"picloud/db"
	"picloud/durable"
)

// spareDisk is the room that a copy of the database must leave on the disk, in bytes.
const spareDisk = 64 << 20

// backup is what the endpoints for copies need of the machine.
func (a *App) backup() *web.Backup {
	return &web.Backup{
		Copy: a.copyState, Status: a.replication.status,
		Sync:   func(ctx context.Context) error { return a.replicating(ctx, (*replica.Replicator).Sync) },
		Verify: func(ctx context.Context) error { return a.replicating(ctx, a.beginVerify) },
		Points: a.points,
	}
}

// replicating runs f, when this process replicates, and words its error for people.
func (a *App) replicating(ctx context.Context, f func(*replica.Replicator, context.Context) error) error {
	r := a.replication.Replicator
	if r == nil {
		return cloud.Errorf(cloud.Conflict, "this instance does not replicate: %s", a.replication.reason)
	}
	return replicaError(f(r, ctx))
}

// replicaError makes what an operator can mend an error that is shown.
func replicaError(err error) error {
	var p *replica.Problem
	switch {
	case errors.Is(err, replica.ErrVerifying):
		return cloud.Errorf(cloud.Conflict, "a verification runs already")
	case errors.Is(err, replica.ErrEmpty):
		return cloud.Errorf(cloud.NotFound, "the replica is empty")
	case errors.As(err, &p):
		return cloud.Errorf(cloud.Overloaded, "%s", p.Text).WithCause(p.Cause)
	}
	return err
}

// beginVerify starts a verification that goes on after the caller has its answer.
func (a *App) beginVerify(r *replica.Replicator, _ context.Context) error {
	return r.BeginVerify()
}

func (a *App) points(ctx context.Context, before string, limit int) (out []web.RestorePoint, err error) {
	var from uint64
	if before != "" {
		if from, err = replica.ParseTXID(before); err != nil {
			return nil, cloud.Errorf(cloud.BadRequest, "cursor: %v", err)
		}
	}
	err = a.replicating(ctx, func(r *replica.Replicator, ctx context.Context) error {
		found, err := r.Points(ctx, from, limit)
		for _, p := range found {
			out = append(out, web.RestorePoint{TXID: txid(p.TXID), At: timeOf(p.At), Level: p.Level, Bytes: p.Bytes})
		}
		return err
	})
	return out, err
}

// copyState makes a consistent copy of picloud.db while it is in use. The file has no name
// any more: it is gone when it is closed, or when the process ends.
func (a *App) copyState(ctx context.Context) (*os.File, error) {
	if err := a.roomFor(a.state); err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(a.cfg.DataDir, "copy-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	name := filepath.Join(dir, "picloud.db")
	if err := a.state.Backup(ctx, name); err != nil {
		return nil, fmt.Errorf("copy the database: %w", err)
	}
	return os.Open(name)
}

// sweep removes the files and the copies that a killed process was making.
func (a *App) sweep() {
	for _, dir := range []string{a.cfg.DataDir, filepath.Join(a.cfg.DataDir, acmeDir)} {
		if err := durable.Sweep(dir); err != nil {
			a.log.Warn("remove a file that was not finished", "err", err)
		}
	}
	left, _ := filepath.Glob(filepath.Join(a.cfg.DataDir, "copy-*"))
	for _, dir := range left {
		if err := os.RemoveAll(dir); err != nil {
			a.log.Warn("remove a copy that was not finished", "err", err)
		}
	}
}

// roomFor refuses a copy that would fill the disk.
func (a *App) roomFor(d *db.DB) error {
	need, err := d.Size()
	if err != nil {
		return err
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(a.cfg.DataDir, &disk); err != nil {
		return fmt.Errorf("ask for the free disk space: %w", err)
	}
	if free := int64(disk.Bavail) * int64(disk.Bsize); free < need+spareDisk {
		return cloud.Errorf(cloud.BudgetExceeded, "a copy takes up to %d MB and %d MB are free: make room, or restore the second copy elsewhere", (need+spareDisk)>>20, free>>20)
	}
	return nil
}
