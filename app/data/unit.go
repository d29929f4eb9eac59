package data

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

var _ outbox.Effects = (*Unit)(nil)

// Unit is everything one execution reads and changes. It is an outbox.Effects. It is used
// by one goroutine at a time, but for Close. Values go in and out without a copy: nobody may
// change them.
//
// Failures are Invalid for bad names and values, BudgetExceeded when a commit would hold too
// much, and Timeout when the call's context ended; all else is the platform's fault.
type Unit struct {
	s     *Store
	exec  cloud.ExecutionID
	from  cloud.Origin
	cause db.Cause // who its commits are counted for
	hold  func(context.Context, *db.Tx) error
	most  budget
	used  budget
	reads reads

	age uint64 // of the app's entries when the unit began
	now bool   // a person's change: it means the app as it is at its commit

	closed atomic.Bool

	mu    sync.Mutex   // guards snap against Close
	snap  *db.Snapshot // nil until the first read
	since uint64       // the last commit known before snap was taken

	overlay overlay
	effects []effect // in the order of their first mention; changes also in overlay

	noRerun   bool
	committed bool  // something, by Commit
	broken    error // why the unit can't be used any more
}

// effect is one thing to do at commit.
type effect struct {
	change *change // or
	call   func(context.Context, *db.Tx) error
}

// budget counts what one commit does.
type budget struct{ writes, bytes int64 }

var errClosed = cloud.Errorf(cloud.Internal, "the execution is over: nothing can be read or written any more")

// Begin starts the unit of work of one execution. Nothing is read or pinned before the
// first read. hold is outbox.Runner's; limits bound each commit.
func (s *Store) Begin(inv *cloud.Invocation, limits cloud.Limits, hold func(context.Context, *db.Tx) error) *Unit {
	from := cloud.Origin{App: inv.App, Execution: inv.ID, Root: inv.Root, Depth: inv.Depth}
	if inv.Principal != nil {
		from.Principal = inv.Principal.User
	}
	u := s.begin(inv.ID, from, limits, hold)
	u.cause = db.Cause{App: inv.App, Script: inv.Script, Trigger: inv.Trigger}
	return u
}

func (s *Store) begin(exec cloud.ExecutionID, from cloud.Origin, limits cloud.Limits, hold func(context.Context, *db.Tx) error) *Unit {
	most := budget{limits.Writes, limits.WriteBytes}
	if most.writes <= 0 {
		most.writes = DefaultWrites
	}
	if most.bytes <= 0 {
		most.bytes = DefaultWriteBytes
	}
	return &Unit{s: s, exec: exec, from: from, cause: db.Cause{App: from.App}, hold: hold, most: most, age: s.recent.age(from.App), overlay: overlay{}}
}

// viewLocked is the snapshot, taken by the read that follows the first call. The number of the
// last commit is noted before: what is committed in between is seen and counts as a conflict
// all the same.
func (u *Unit) viewLocked(ctx context.Context) (*db.Snapshot, error) {
	if err := u.usable(ctx); err != nil || u.snap != nil {
		return u.snap, err
	}
	since := u.s.recent.now()
	snap, err := u.s.db.SnapshotLazy(ctx)
	if err != nil {
		return nil, fmt.Errorf("take a snapshot: %w", err)
	}
	u.since, u.snap = since, snap
	return snap, nil
}

func (u *Unit) usable(ctx context.Context) error {
	switch {
	case u.broken != nil:
		return u.broken
	case u.closed.Load():
		return errClosed
	}
	return ctx.Err()
}

// stage adds c to what the commit does, in the place of an earlier change of the same key.
func (u *Unit) stage(c change) error {
	prev := u.overlay[c.name]
	c, err := c.after(prev)
	if err != nil {
		return err
	}
	used := u.used
	used.bytes += int64(c.bytes())
	if prev == nil {
		used.writes++
	} else {
		used.bytes -= int64(prev.bytes())
	}
	if err := used.within(u.most); err != nil {
		return err
	}
	u.used = used
	if prev != nil {
		*prev = c
		return nil
	}
	u.overlay[c.name] = &c
	u.effects = append(u.effects, effect{change: &c})
	return nil
}

func (b budget) within(most budget) error {
	switch {
	case b.writes > most.writes:
		return cloud.Errorf(cloud.BudgetExceeded, "more than %d writes in one commit: write less, or call ctx.commit() in between", most.writes)
	case b.bytes > most.bytes:
		return cloud.Errorf(cloud.BudgetExceeded, "more than %d bytes written in one commit: write less, or call ctx.commit() in between", most.bytes)
	}
	return nil
}

// Defer adds an effect of another package to the commit, in order with the others. It counts
// as one write; over the budget, the commit fails with BudgetExceeded. f may run more than
// once and must be repeatable.
func (u *Unit) Defer(f func(context.Context, *db.Tx) error) {
	u.used.writes++
	if err := u.used.within(u.most); err != nil {
		u.broken = cmp.Or(u.broken, err)
		return
	}
	u.effects = append(u.effects, effect{call: f})
}

// DeferBytes is Defer for an effect that writes n bytes. What is over the budget is refused at
// once and not kept.
func (u *Unit) DeferBytes(n int, f func(context.Context, *db.Tx) error) error {
	used := budget{u.used.writes + 1, u.used.bytes + int64(n)}
	if err := used.within(u.most); err != nil {
		return err
	}
	u.used = used
	u.effects = append(u.effects, effect{call: f})
	return nil
}

// Origin is what the events of this execution come from.
func (u *Unit) Origin() cloud.Origin { return u.from }

// Commit commits what was written so far and begins a new snapshot: ctx.commit(). After an
// error the execution must end: a Contended one runs again from the start, unless something
// was committed before.
func (u *Unit) Commit(ctx context.Context) error {
	if err := u.usable(ctx); err != nil {
		return err
	}
	if !u.Empty() {
		if err := u.s.db.UpdateFor(ctx, u.cause, u.applyHeld); err != nil {
			u.broken = err
			return err
		}
		u.committed = true
	}
	u.dropSnapshot()
	u.reads = reads{}
	u.overlay = overlay{}
	u.effects = nil
	u.used = budget{}
	return nil
}

func (u *Unit) applyHeld(ctx context.Context, tx *db.Tx) error {
	if u.hold != nil {
		if err := u.hold(ctx, tx); err != nil {
			return err
		}
	}
	return u.Apply(ctx, tx)
}

// NoRerun says that the execution called the outside world: a conflict is then final.
func (u *Unit) NoRerun() { u.noRerun = true }

// Repeatable reports that the execution may be run again from its start: nothing of it is
// committed, and it has not called the outside world.
func (u *Unit) Repeatable() bool { return !u.noRerun && !u.committed }

// Empty reports that there is nothing to commit. What was only read needs no check: it all
// held at the moment of the snapshot.
func (u *Unit) Empty() bool { return len(u.effects) == 0 && u.broken == nil }

// Size is the bytes of names and values that wait to be committed.
func (u *Unit) Size() int { return int(u.used.bytes) }

// Close ends the snapshot, as early as can be: it pins a reader and keeps the WAL from being
// reused. Nothing can be read any more; Apply still works. It may be called twice, and while
// a script that could not be stopped still holds the unit.
func (u *Unit) Close() {
	u.closed.Store(true)
	u.dropSnapshot()
}

func (u *Unit) dropSnapshot() {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.snap == nil {
		return
	}
	if err := u.snap.Close(); err != nil {
		u.s.log.Warn("end a snapshot", "app", u.from.App, "exec", u.exec, "err", err)
	}
	u.snap = nil
}
