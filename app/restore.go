package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"picloud/app/cloud"
	"picloud/app/replica"
	"picloud/db"
	"picloud/durable"
)

// Moment is a state of the replica: that of a time, or after a transaction; zero: the newest.
type Moment = replica.Moment

// Restored is a state that was, or would be, restored.
type Restored = replica.Restored

// ParseTXID reads a transaction id as `picloud backup points` prints it.
func ParseTXID(s string) (uint64, error) { return replica.ParseTXID(s) }

// FormatTXID is the way back.
func FormatTXID(id uint64) string { return replica.FormatTXID(id) }

// RestoreFile writes the state of picloud.db at a moment, taken from the replica that the
// configuration names, to the file dst, which must not exist. The file is checked (integrity,
// foreign keys) and its rows are counted before the call returns; after an error there is no
// dst. It has the schema of then, readable by its owner only, and no write-ahead log: whoever
// reads it with another schema migrates it first, by opening it with package db. It asks
// nothing of the instance, which may run meanwhile, and takes no lease. It needs room for the
// database in dst's directory and takes as long as reading it from the target; ctx ends it.
func RestoreFile(ctx context.Context, c *Config, m Moment, dst string) (*Restored, error) {
	r, err := c.restorer()
	if err != nil {
		return nil, err
	}
	if _, err := os.Lstat(dst); err == nil {
		return nil, cloud.Errorf(cloud.Conflict, "%s exists: choose another name", filepath.Base(dst))
	}
	p, err := r.Restore(ctx, m, dst)
	return p, replicaError(err)
}

// PlanRestore tells what RestoreFile would restore.
func PlanRestore(ctx context.Context, c *Config, m Moment) (*Restored, error) {
	r, err := c.restorer()
	if err != nil {
		return nil, err
	}
	p, err := r.Plan(ctx, m)
	return p, replicaError(err)
}

// RestoreState puts the state of a moment in the place of picloud.db in the data directory of
// a stopped instance. One that is there is kept beside it, under the name that is returned,
// and is an error unless force is set.
func RestoreState(ctx context.Context, c *Config, m Moment, force bool) (p *Restored, aside string, err error) {
	r, err := c.restorer()
	if err != nil {
		return nil, "", err
	}
	lock, err := db.Lock(c.DataDir)
	if err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	if err := c.finishRestore(c.logger()); err != nil {
		return nil, "", err
	}
	info, err := os.Stat(c.stateFile())
	switch {
	case err == nil && info.Size() > 0 && !force:
		return nil, "", cloud.Errorf(cloud.Conflict, "there is a database in %s: --force puts the restored one in its place and keeps it beside; -o FILE restores elsewhere", c.DataDir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	}
	if err := r.Hold(); err != nil {
		return nil, "", err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	p, aside, err = r.RestoreOver(ctx, m)
	return p, aside, replicaError(err)
}

// finishRestore ends a restore that was interrupted once it was decided, and forgets one that
// wasn't. It must be called before anything opens the database; the data directory is locked.
func (c *Config) finishRestore(log *slog.Logger) error {
	for _, suffix := range []string{".restore", ".restore.tmp"} {
		if err := os.Remove(c.stateFile() + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what an interrupted restore left: %w", err)
		}
	}
	aside, err := durable.FinishReplaceDatabase(c.stateFile())
	if err != nil {
		return fmt.Errorf("finish a restore that was interrupted: %w", err)
	}
	if aside != "" {
		log.Warn("finished a restore that was interrupted", "kept", filepath.Base(c.stateFile())+aside)
	}
	return nil
}

func (c *Config) logger() *slog.Logger {
	if c.Logger == nil {
		return slog.Default()
	}
	return c.Logger
}

// restorer reads the replica of the configuration.
func (c *Config) restorer() (*replica.Replicator, error) {
	log := c.logger()
	if err := durable.MakeDir(c.DataDir); err != nil {
		return nil, fmt.Errorf("make the data directory: %w", err)
	}
	r, reason, err := c.replicator(log, false)
	if err == nil && r == nil {
		err = cloud.Errorf(cloud.Invalid, "nothing to restore from: %s (name the file with --litestream-config)", reason)
	}
	return r, err
}
