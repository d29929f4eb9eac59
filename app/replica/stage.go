package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
	"golang.org/x/sys/unix"
)

// syncLocked is the library's Sync. Cancelled while it opens the database, the library keeps it
// half open, and every later Sync fails with "invalid argument": so the first one has
// closeTimeout to end by itself.
func (r *Replicator) syncLocked(ctx context.Context) error {
	if r.ready {
		return r.db.Sync(ctx)
	}
	patient, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(ctx, func() {
		sleep(patient, closeTimeout, nil)
		cancel()
	})()
	return r.db.Sync(patient)
}

// stage copies the committed part of the write-ahead log to a local file.
func (r *Replicator) stage(ctx context.Context) error {
	r.staging.Lock()
	defer r.staging.Unlock()
	if err := r.openLocked(ctx); err != nil {
		return err
	}
	since := r.lag.staging()
	err := r.syncLocked(ctx)
	if err == nil && r.db.PageSize() == 0 { // there is no database yet
		r.lag.unstaged(time.Time{})
		return nil
	}
	if err != nil {
		r.lag.unstaged(since)
		if !r.ready {
			r.holdLockLocked()
		}
		return r.repairLocked(ctx, err)
	}
	r.ready = true
	pos, err := r.db.Pos()
	if err != nil {
		r.lag.unstaged(since)
		return r.repairLocked(ctx, err)
	}
	r.lag.staged(uint64(pos.TXID), since)
	return nil
}

// openLocked opens litestream's store, and asks for the lease and the target before the
// library opens the database: when the library fails half-way, it closes a descriptor of the
// file, and the process's locks on it go with that.
func (r *Replicator) openLocked(ctx context.Context) error {
	if !r.opened {
		if err := r.store.Open(ctx); err != nil {
			return err
		}
		r.opened = true
	}
	if r.ready {
		return nil
	}
	if err := r.lease.ensure(ctx); err != nil {
		return r.health.note(err)
	}
	_, err := r.db.Replica.MaxLTXFileInfo(ctx, 0)
	return err
}

// holdLockLocked takes the shared lock on the database file again that the library's failed
// attempt to open it has dropped: without it, another program could take the file for
// unused and delete the write-ahead log. POSIX locks belong to the process, so a descriptor
// of ours, open until Close, does for SQLite's. See https://www.sqlite.org/howtocorrupt.html
func (r *Replicator) holdLockLocked() {
	if r.o.WatchWAL {
		return // this process has nothing else open
	}
	if r.shared == nil {
		f, err := os.Open(r.path)
		if err != nil {
			r.log.Error("open the database file to lock it", "err", err)
			return
		}
		r.shared = f
	}
	const sharedFirst, sharedSize = 0x40000002, 510 // SQLite's os_unix.c
	lock := unix.Flock_t{Type: unix.F_RDLCK, Whence: io.SeekStart, Start: sharedFirst, Len: sharedSize}
	if err := unix.FcntlFlock(r.shared.Fd(), unix.F_SETLK, &lock); err != nil {
		r.log.Error("lock the database file again", "err", err)
	}
}

// upload sends the staged files to the target, one after the other.
func (r *Replicator) upload(ctx context.Context) error {
	if pos, err := r.db.Pos(); err == nil && pos.TXID == 0 {
		return nil // nothing was staged yet
	}
	if err := r.db.Replica.Sync(ctx); err != nil {
		r.staging.Lock()
		defer r.staging.Unlock()
		return r.repairLocked(ctx, err)
	}
	remote := r.db.Replica.Pos().TXID
	if local, err := r.db.Pos(); err == nil && local.TXID < remote {
		r.staging.Lock()
		defer r.staging.Unlock()
		return errors.Join(errAhead, r.rebaseLocked(ctx))
	}
	r.lag.uploaded(uint64(remote))
	return nil
}

// errAhead: something else wrote to the target, such as litestream on another machine.
var errAhead = errors.New("the target is ahead of this database: starting with a new snapshot after it")

// repairLocked starts the staging anew when err says that its files are missing or damaged,
// after a power cut for example. It returns err.
func (r *Replicator) repairLocked(ctx context.Context, err error) error {
	var e *litestream.LTXError
	if !errors.As(err, &e) || !e.IsAutoRecoverable() || !r.autoRecover {
		return err
	}
	r.log.Warn("staged changes are missing or damaged: the replica gets a new snapshot", "err", err)
	if again := r.rebaseLocked(ctx); again != nil {
		return errors.Join(err, again)
	}
	return err
}

// rebaseLocked forgets what is staged, and begins with a snapshot after the newest file of
// the target. The library alone would count from one again, and upload nothing until it had
// come to the number that the target has.
func (r *Replicator) rebaseLocked(ctx context.Context) error {
	newest, err := r.db.Replica.MaxLTXFileInfo(ctx, 0)
	if err != nil {
		return err
	}
	path := r.db.LTXPath(0, newest.MinTXID, newest.MaxTXID)
	part := filepath.Join(r.db.MetaPath(), "newest.tmp") // a name that the library removes when it opens
	if newest.MaxTXID > 0 {
		defer os.Remove(part)
		if err := r.fetch(ctx, &newest, part); err != nil {
			return fmt.Errorf("fetch the newest file of the target: %w", err)
		}
	}
	if err := r.db.ResetLocalState(ctx); err != nil {
		return err
	}
	if newest.MaxTXID > 0 {
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return err
		}
		if err := os.Rename(part, path); err != nil {
			return err
		}
	}
	r.lag.committed()
	notify(r.wake)
	return nil
}

// fetch copies a file of the target to path.
func (r *Replicator) fetch(ctx context.Context, info *ltx.FileInfo, path string) error {
	rc, err := r.guard.OpenLTXFile(ctx, info.Level, info.MinTXID, info.MaxTXID, 0, 0)
	if err != nil {
		return err
	}
	defer rc.Close()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, rc)
	return errors.Join(err, f.Sync(), f.Close())
}
