package app

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"picloud/app/cloud"
	"picloud/app/control"
	"picloud/app/portable"
	"picloud/app/replica"
	"picloud/app/web"
	"picloud/db"
)

// movingDir is the pattern of the directories, in the data directory, that hold the files of
// exports, imports and rewinds while they last.
const movingDir = ".moving-*"

// mover exports, imports and rewinds apps, one at a time: each takes room on the disk.
type mover struct {
	*App
	busy chan struct{} // has one place
}

func (a *App) portable() *web.Portable {
	for _, old := range a.leftovers() { // of a process that was killed
		os.RemoveAll(old)
	}
	m := &mover{a, make(chan struct{}, 1)}
	return &web.Portable{Export: m.export, Import: m.importFile, Rewind: m.rewind, MaxBytes: a.cfg.MaxImportBytes}
}

func (a *App) leftovers() []string {
	found, _ := filepath.Glob(filepath.Join(a.cfg.DataDir, movingDir)) // the pattern is well-formed
	return found
}

// begin waits for its turn and makes a directory to work in.
func (m *mover) begin(ctx context.Context) (dir string, end func(), err error) {
	select {
	case m.busy <- struct{}{}:
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	dir, err = os.MkdirTemp(m.cfg.DataDir, movingDir)
	if err != nil {
		<-m.busy
		return "", nil, fmt.Errorf("make room for a file: %w", err)
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			m.log.Warn("remove what an export or import left", "err", err)
		}
		<-m.busy
	}, nil
}

// export writes an app to a file that has no name any more when it returns.
func (m *mover) export(ctx context.Context, app cloud.AppID) (*os.File, error) {
	dir, end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	snap, err := m.state.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	path := filepath.Join(dir, "export")
	if err := portable.Export(ctx, snap, app, path); err != nil {
		return nil, m.full(err)
	}
	return os.Open(path)
}

// full makes a full disk something that a person can act on.
func (m *mover) full(err error) error {
	if db.IsFull(err) || errors.Is(err, syscall.ENOSPC) {
		return cloud.Errorf(cloud.BudgetExceeded, "the disk of the data directory is full: make room and try again").WithCause(err)
	}
	return err
}

// receive writes what a caller sends to a file.
func (m *mover) receive(from io.Reader, path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("keep the file: %w", err)
	}
	_, err = io.Copy(f, from)
	return errors.Join(err, f.Close())
}

// open takes a file that was sent apart.
func (m *mover) open(ctx context.Context, dir string, from io.Reader, app string) (*portable.File, error) {
	path := filepath.Join(dir, "file")
	if err := m.receive(from, path); err != nil {
		return nil, m.full(err)
	}
	f, err := portable.Open(ctx, path, app, m.state)
	return f, m.full(err)
}

func (m *mover) importFile(ctx context.Context, body io.Reader, source string, o portable.Options) (*cloud.App, *portable.Imported, error) {
	dir, end, err := m.begin(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer end()
	f, err := m.open(ctx, dir, body, source)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	o.Opens = m.secrets.Opens
	made := cloud.App{Slug: f.Slug, Name: f.Name, Description: f.Detail}
	if o.Slug != "" {
		made.Slug = o.Slug
	}
	if o.Name != "" {
		made.Name = o.Name
	}
	err = m.state.View(ctx, func(_ context.Context, rx *db.Rx) error {
		made.ID, err = portable.NewID(rx, f)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	done, err := m.replace(ctx, &made.ID, o.SkipTaken, func(tx *db.Tx) (*portable.Imported, error) {
		if err := m.control.NewApp(tx, &made, f.Quotas); err != nil {
			return nil, err
		}
		return portable.Import(tx, f, made.ID, o)
	})
	return &made, done, err
}

// replace makes change of an app's rows, in one transaction with everything that keeps some
// of them in memory.
func (m *mover) replace(ctx context.Context, app *cloud.AppID, skipTaken bool, change func(*db.Tx) (*portable.Imported, error)) (done *portable.Imported, err error) {
	r := &control.Replacement{App: *app, SkipTaken: skipTaken}
	r.Change = func(_ context.Context, tx *db.Tx) error {
		before, err := m.control.ScriptIDs(tx.Rx, *app)
		if err != nil {
			return err
		}
		if done, err = change(tx); err != nil {
			return err
		}
		after, err := m.control.ScriptIDs(tx.Rx, *app)
		if err != nil {
			return err
		}
		return m.replaced(tx, *app, append(before, after...))
	}
	// Once it runs it is not half undone because the caller has gone.
	if err := m.control.Replace(ctx, r); err != nil {
		return nil, m.full(err)
	}
	done.Skipped = append(done.Skipped, r.Skipped...)
	return done, nil
}

// replaced tells everybody who keeps something of an app in memory that tx has put other rows
// in the place of all that it had.
func (a *App) replaced(tx *db.Tx, app cloud.AppID, scripts []cloud.ScriptID) error {
	a.data.Replaced(tx, app)
	tx.AfterCommit(func() {
		for _, s := range scripts {
			a.executor.Forget(s)
		}
	})
	return a.outbox.Replaced(tx, app)
}

func (m *mover) rewind(ctx context.Context, app cloud.AppID, from web.RewindFrom, apply, skipTaken bool) (*web.Rewound, error) {
	dir, end, err := m.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	res := &web.Rewound{Skipped: []string{}}
	f, err := m.former(ctx, dir, app, from, res)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.App != app {
		return nil, cloud.Errorf(cloud.NotFound, "the file holds another app (%s): import it instead", f.Slug)
	}
	if res.Changes, err = m.plan(ctx, f, app); err != nil || !apply {
		return res, err
	}
	done, err := m.replace(ctx, &app, skipTaken, func(tx *db.Tx) (*portable.Imported, error) { return portable.Rewind(tx, f, app, skipTaken) })
	if err != nil {
		return nil, err
	}
	res.Applied, res.Skipped = true, done.Skipped
	return res, nil
}

// former opens the state that the app is to go back to.
func (m *mover) former(ctx context.Context, dir string, app cloud.AppID, from web.RewindFrom, res *web.Rewound) (*portable.File, error) {
	if from.File != nil {
		return m.open(ctx, dir, from.File, app.String())
	}
	path := filepath.Join(dir, "restored")
	moment, err := m.restore(ctx, from.At, path)
	if err != nil {
		return nil, m.full(err)
	}
	res.StateOf = cloud.TimeOf(moment)
	f, err := portable.Open(ctx, path, app.String(), m.state)
	return f, m.full(err)
}

// restore writes the database as it was at a time to path, and says which moment that is.
func (m *mover) restore(ctx context.Context, at time.Time, path string) (time.Time, error) {
	if !m.replication.named {
		return time.Time{}, cloud.Errorf(cloud.Conflict, "this instance has no second copy to go back with: send a copy of the database, or an export of the app")
	}
	if m.replication.Replicator != nil && time.Since(at) < syncFirst {
		if err := m.replicating(ctx, (*replica.Replicator).Sync); err != nil {
			return time.Time{}, err
		}
	}
	r, err := RestoreFile(ctx, m.cfg, Moment{Timestamp: at}, path)
	if err != nil {
		return time.Time{}, err
	}
	return r.At, nil
}

// syncFirst is how young a moment may be that the second copy does not have yet.
const syncFirst = time.Minute

func (m *mover) plan(ctx context.Context, f *portable.File, app cloud.AppID) ([]portable.TableChange, error) {
	snap, err := m.state.Snapshot(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	return portable.Plan(snap.Rx, f, app)
}
