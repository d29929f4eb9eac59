package db

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"
)

// commit runs the batch in one transaction. When that fails as a whole, each request runs
// again in a transaction of its own, so that one can't take the others with it.
func (w *writer) commit() {
	if w.transact(w.batch) && len(w.batch) > 1 {
		for i := range w.batch {
			w.transact(w.batch[i : i+1])
		}
	}
	w.answer()
}

// answer settles what isn't and lets the callers go.
func (w *writer) answer() {
	for _, r := range w.batch {
		r.settled = true
		close(r.done)
	}
}

// transact runs the requests in one transaction and sets their errors. It reports whether
// running them one by one may help.
func (w *writer) transact(batch []*request) (again bool) {
	start := time.Now()
	if err := w.begin(slices.ContainsFunc(batch, func(r *request) bool { return r.durable })); err != nil {
		w.d.wrote(err)
		fail(batch, fmt.Errorf("begin a transaction: %w", err))
		return false
	}
	before := w.d.Written() // nobody else writes the log now
	kept, err := w.runAll(batch)
	if err == nil && kept > 0 {
		err = w.end()
	}
	if err != nil || kept == 0 {
		w.rollback()
	}
	if err != nil {
		w.d.wrote(err)
		fail(batch, err)
		return true
	}
	for _, r := range batch {
		r.settled = true
	}
	if kept > 0 {
		w.d.wrote(nil)
		took := time.Since(start)
		w.d.o.Observe(CommitStats{Batch: kept, Duration: took, Fsync: w.fsync, Shares: w.split(batch, w.d.Written().since(before))})
		w.afterCommit(batch)
	}
	return false
}

func fail(batch []*request, err error) {
	for _, r := range batch {
		r.err = err
	}
}

// begin takes the write lock; a deferred transaction that writes later could not.
func (w *writer) begin(fsync bool) error {
	if fsync != w.fsync {
		if err := w.synchronous(fsync); err != nil {
			return err
		}
	}
	w.number++
	return w.conn.run("BEGIN IMMEDIATE")
}

// synchronous makes the following commits sync the WAL, or not. The pragma acts while it is
// prepared, so it can't be a statement that is prepared once.
func (w *writer) synchronous(fsync bool) error {
	level := "NORMAL"
	if fsync {
		level = "FULL"
	}
	if _, err := w.conn.sql.ExecContext(context.Background(), "PRAGMA synchronous="+level); err != nil {
		return err
	}
	w.fsync = fsync
	return nil
}

// runAll runs the closures, each under a savepoint unless it is alone. It counts those whose
// changes are to be kept; its error means that the transaction is lost.
func (w *writer) runAll(batch []*request) (kept int, err error) {
	now := w.d.o.Now().UTC()
	for _, r := range batch {
		if !r.start() {
			continue
		}
		if len(batch) == 1 {
			r.err = w.run(r, now)
		} else if err := w.runSaved(r, now); err != nil {
			return 0, err
		}
		if r.err == nil {
			kept++
		} else {
			w.d.wrote(r.err)
		}
	}
	return kept, nil
}

func (w *writer) runSaved(r *request, now time.Time) error {
	if err := w.conn.run("SAVEPOINT closure"); err != nil {
		return fmt.Errorf("savepoint: %w", err)
	}
	if r.err = w.run(r, now); r.err != nil {
		if err := w.conn.run("ROLLBACK TO closure"); err != nil {
			return fmt.Errorf("undo a closure: %w (it failed with: %w)", err, r.err)
		}
	}
	if err := w.conn.run("RELEASE closure"); err != nil {
		return fmt.Errorf("release a savepoint: %w", err)
	}
	return nil
}

// run calls the closure; its Tx doesn't outlive the call.
func (w *writer) run(r *request, now time.Time) (err error) {
	rx := &Rx{Now: now, pool: w.d.rw, conn: w.conn}
	r.tx = Tx{Rx: rx, batch: w.number}
	defer func() {
		rx.conn = nil
		w.conn.closeRows()
		if p := recover(); p != nil {
			err = fmt.Errorf("panic in a transaction: %v\n%s", p, debug.Stack())
		}
	}()
	return r.f(inside{context.WithoutCancel(r.ctx)}, &r.tx)
}

func (w *writer) end() error {
	w.committing = true
	err := w.conn.run("COMMIT")
	w.committing = false
	w.conn.finish()
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// rollback ends the transaction; SQLite may have done so already, then there is nothing to
// roll back and the error says just that.
func (w *writer) rollback() {
	w.conn.finish()
	_ = w.conn.run("ROLLBACK")
}

func (w *writer) afterCommit(batch []*request) {
	for _, r := range batch {
		if r.err != nil {
			continue
		}
		for _, f := range r.tx.after {
			w.announce(f)
		}
	}
}

// announce runs one AfterCommit function. The commit stands whatever it does.
func (w *writer) announce(f func()) {
	defer func() {
		if p := recover(); p != nil {
			w.d.o.Logger.Error("panic after a commit", "panic", p, "stack", string(debug.Stack()))
		}
	}()
	f()
}

// abandon cleans up after a closure that ended the goroutine.
func (w *writer) abandon() {
	w.committing = false
	w.rollback()
	for _, r := range w.batch {
		if !r.settled {
			r.err = errGoexit
		}
	}
	w.answer()
}
