package replica

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

const (
	mostBackoff  = 30 * time.Second // between two attempts to reach the target
	offlineStage = 30 * time.Second // between two stagings while it can't be reached: uploads go file by file
	watchPeriod  = time.Second      // between two looks at the write-ahead log, with WatchWAL
	closeTimeout = 10 * time.Second // of the last upload
	giveTimeout  = 3 * time.Second  // of giving the lease back
)

// Hold keeps a second replicator of the same data directory away, until Close. Two of them
// in two processes would upload over each other. The data directory is a device from then on.
func (r *Replicator) Hold() error {
	unlock, err := lockFile(filepath.Join(r.o.Dir, "replica.lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errors.New("another process replicates this database already: stop it first")
	}
	if err != nil {
		return fmt.Errorf("lock the replication: %w", err)
	}
	r.unlock = unlock
	return r.notes.keepDevice()
}

// Serve replicates until ctx ends. A target that can't be reached, or that another device
// writes to, is no reason to return: Status tells, and Serve tries again.
func (r *Replicator) Serve(ctx context.Context) error {
	r.lag.resume(r.notes.behindSince())
	var loops sync.WaitGroup
	loops.Go(func() { r.stageLoop(ctx) })
	loops.Go(func() { r.uploadLoop(ctx) })
	loops.Go(func() { r.verifyLoop(ctx) })
	if r.o.WatchWAL {
		loops.Go(func() { r.watchWAL(ctx) })
	}
	loops.Wait()
	return nil
}

// stageLoop copies the write-ahead log to local files, at most once per interval, when there
// was a commit.
func (r *Replicator) stageLoop(ctx context.Context) {
	var b backoff
	notify(r.wake) // for what the log holds already
	for {
		if b == 0 && !wait(ctx, r.wake) {
			return
		}
		if err := r.stage(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.trouble.report(r, atStage, err)
			if !sleep(ctx, b.next(), nil) {
				return
			}
			continue
		}
		b = 0
		r.trouble.over(r, atStage)
		notify(r.staged)
		if !sleep(ctx, r.pause(), r.back) {
			return
		}
	}
}

// pause is how long to gather commits before the next staging.
func (r *Replicator) pause() time.Duration {
	if r.trouble.at(atUpload) != nil {
		return max(r.interval, offlineStage)
	}
	return r.interval
}

// uploadLoop sends what is staged.
func (r *Replicator) uploadLoop(ctx context.Context) {
	var b backoff
	complete := false
	for {
		if b == 0 && !wait(ctx, r.staged) {
			return
		}
		if err := r.upload(ctx); err != nil {
			if ctx.Err() != nil {
				return
			}
			r.trouble.report(r, atUpload, err)
			if !sleep(ctx, b.next(), nil) {
				return
			}
			continue
		}
		b = 0
		if r.trouble.over(r, atUpload) {
			notify(r.back)
		}
		if !complete && r.db.Replica.Pos().TXID > 0 {
			complete = true
			r.log.Info("the replica has everything so far", "target", r.target)
		}
		r.unstick(ctx)
	}
}

// watchWAL takes the place of Committed.
func (r *Replicator) watchWAL(ctx context.Context) {
	var last os.FileInfo
	for sleep(ctx, watchPeriod, nil) {
		now, err := os.Stat(r.path + "-wal")
		if err != nil || last != nil && now.Size() == last.Size() && now.ModTime().Equal(last.ModTime()) {
			continue
		}
		last = now
		r.Committed()
	}
}

// Sync replicates everything that is committed now, and returns when the target has it. Its
// error says why it has not.
func (r *Replicator) Sync(ctx context.Context) error {
	if err := r.stage(ctx); err != nil {
		return explain(err)
	}
	if err := r.upload(ctx); err != nil {
		return explain(err)
	}
	r.trouble.over(r, atStage)
	if r.trouble.over(r, atUpload) {
		notify(r.back)
	}
	return nil
}

// Close uploads what is left, for at most 10 s, and lets go of the database. Serve must have
// ended, and the process's own connections to the database must be closed before: closing
// litestream's takes SQLite's locks with it.
func (r *Replicator) Close() error {
	if r.lease.status().Lost || !r.ready {
		r.db.ShutdownSyncTimeout = 0 // no use in trying for long
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout+time.Second)
	defer cancel()
	err := r.store.Close(ctx)
	if err != nil && r.ready {
		r.log.Warn("the last changes are not on the replica yet: they follow after the next start", "target", r.target, "err", explain(err))
		err = r.notes.setBehind(r.behindSince())
	} else if r.ready {
		err = r.notes.setBehind(time.Time{})
	}
	give, cancelGive := context.WithTimeout(context.Background(), giveTimeout)
	defer cancelGive()
	if e := r.lease.giveBack(give); e != nil {
		r.log.Debug("the lease was not given back: it runs out by itself", "err", e)
	}
	if r.shared != nil {
		err = errors.Join(err, r.shared.Close())
	}
	if r.unlock != nil {
		err = errors.Join(err, r.unlock())
	}
	return err
}

// behindSince is the time of the oldest commit that the target doesn't have, or now.
func (r *Replicator) behindSince() time.Time {
	if t := r.lag.since(); !t.IsZero() {
		return t
	}
	return time.Now()
}

// backoff is the pause after a failure: 1 s, then twice as long each time, up to 30 s.
type backoff time.Duration

func (b *backoff) next() time.Duration {
	*b = min(max(2**b, backoff(time.Second)), backoff(mostBackoff))
	return time.Duration(*b)
}

// wait waits for c; false: ctx has ended.
func wait(ctx context.Context, c <-chan struct{}) bool {
	select {
	case <-ctx.Done():
		return false
	case <-c:
		return true
	}
}

// sleep waits for d, or less when early comes; false: ctx has ended.
func sleep(ctx context.Context, d time.Duration, early <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-early:
	case <-t.C:
	}
	return true
}
