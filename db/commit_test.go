package db_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"picloud/db"
	"picloud/db/dbtest"
)

var errMine = errors.New("my own error")

func TestGroupCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var commits []int
		d := dbtest.Open(t, items, func(o *db.Options) {
			o.Observe = func(s db.CommitStats) { commits = append(commits, s.Batch) }
		})
		var batches []uint64
		note := func(name string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				batches = append(batches, tx.Batch())
				return insert(name)(ctx, tx)
			}
		}
		if err := errors.Join(together(t, d, note("a"), note("b"), note("c"))...); err != nil {
			t.Fatal(err)
		}
		if err := d.Update(t.Context(), note("d")); err != nil {
			t.Fatal(err)
		}
		want(t, names(t, d), "a", "b", "c", "d")
		if !slices.Equal(commits, []int{1, 3, 1}) {
			t.Errorf("commits of %v closures, want 1, 3 and 1", commits)
		}
		if batches[0] != batches[1] || batches[1] != batches[2] || batches[2] >= batches[3] {
			t.Errorf("batch numbers %v, want three of the same and then a greater one", batches)
		}
	})
}

func TestGroupsAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		largest := 0
		d := dbtest.Open(t, items, func(o *db.Options) {
			o.Observe = func(s db.CommitStats) { largest = max(largest, s.Batch) }
		})
		hold := make(chan struct{})
		var callers sync.WaitGroup
		for i := range 3 * db.MaxBatch {
			callers.Go(func() {
				err := d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					<-hold
					return insert(fmt.Sprint(i))(ctx, tx)
				})
				if err != nil {
					t.Error(err)
				}
			})
		}
		synctest.Wait()
		close(hold)
		callers.Wait()
		if got := len(names(t, d)); got != 3*db.MaxBatch {
			t.Errorf("%d rows, want %d", got, 3*db.MaxBatch)
		}
		if largest != db.MaxBatch {
			t.Errorf("the largest group had %d closures, want %d", largest, db.MaxBatch)
		}
	})
}

// One closure's failure undoes that closure alone, in whichever way it fails.
func TestOneOfManyFails(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]struct {
		f  func(context.Context, *db.Tx) error
		is func(error) bool
	}{
		"error":       {func(context.Context, *db.Tx) error { return errMine }, func(err error) bool { return err == errMine }},
		"constraint":  {insert("a"), db.IsUnique},
		"panic":       {func(context.Context, *db.Tx) error { panic("ouch") }, func(err error) bool { return strings.Contains(err.Error(), "ouch") }},
		"foreign key": {insertLater, db.IsForeignKey}, // found at the commit of the group
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				d := dbtest.Open(t, items)
				failing := func(ctx context.Context, tx *db.Tx) error {
					if err := insert("lost")(ctx, tx); err != nil {
						return err
					}
					tx.AfterCommit(func() { t.Error("AfterCommit of a closure that failed") })
					return fail.f(ctx, tx)
				}
				errs := together(t, d, insert("a"), failing, insert("b"))
				if errs[0] != nil || errs[2] != nil {
					t.Errorf("the others: got %v and %v", errs[0], errs[2])
				}
				if errs[1] == nil || !fail.is(errs[1]) {
					t.Errorf("got %v", errs[1])
				}
				if err := d.Update(t.Context(), failing); err == nil || !fail.is(err) {
					t.Errorf("alone: got %v", err)
				}
				want(t, names(t, d), "a", "b")
			})
		})
	}
}

func insertLater(_ context.Context, tx *db.Tx) error {
	_, err := tx.Exec("INSERT INTO items (name, later) VALUES ('x', 99)")
	return err
}

// The closures of a group whose commit failed run again, each in a transaction of its own.
func TestGroupRunsAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var commits, announced []string
		d := dbtest.Open(t, items, func(o *db.Options) {
			o.Observe = func(s db.CommitStats) { commits = append(commits, fmt.Sprint(s.Batch)) }
		})
		batches := map[string][]uint64{}
		run := func(name string, f func(context.Context, *db.Tx) error) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				batches[name] = append(batches[name], tx.Batch())
				tx.AfterCommit(func() { announced = append(announced, name) })
				return f(ctx, tx)
			}
		}
		errs := together(t, d, run("a", insert("a")), run("bad", insertLater), run("b", insert("b")))
		if errs[0] != nil || !db.IsForeignKey(errs[1]) || errs[2] != nil {
			t.Errorf("got %v", errs)
		}
		want(t, names(t, d), "a", "b")
		want(t, announced, "a", "b")
		want(t, commits, "1", "1", "1")
		seen := map[uint64]bool{}
		for _, name := range []string{"a", "bad", "b"} {
			if len(batches[name]) != 2 {
				t.Fatalf("%s ran %d times, want 2", name, len(batches[name]))
			}
			if seen[batches[name][1]] || batches[name][1] == batches[name][0] {
				t.Errorf("batch numbers %v: those of the second run must differ", batches)
			}
			seen[batches[name][1]] = true
		}
	})
}

func TestAfterCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		var order []string
		closure := func(name string) func(context.Context, *db.Tx) error {
			return func(ctx context.Context, tx *db.Tx) error {
				for i := range 2 {
					tx.AfterCommit(func() {
						if !slices.Contains(names(t, d), name) { // a reader sees only what is committed
							t.Errorf("AfterCommit of %s before its commit", name)
						}
						order = append(order, fmt.Sprint(name, i))
					})
				}
				return insert(name)(ctx, tx)
			}
		}
		if err := errors.Join(together(t, d, closure("a"), closure("b"), closure("c"))...); err != nil {
			t.Fatal(err)
		}
		want(t, order, "a0", "a1", "b0", "b1", "c0", "c1")
	})
}

func TestAfterCommitPanics(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items, quiet)
	second := false
	err := d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		tx.AfterCommit(func() { panic("ouch") })
		tx.AfterCommit(func() { second = true })
		return insert("a")(ctx, tx)
	})
	if err != nil {
		t.Errorf("got %v: the commit stands", err)
	}
	if !second {
		t.Error("the second function did not run")
	}
	want(t, names(t, d), "a")
}

// t.Fatal in a closure ends the goroutine that runs it, which is the writer's.
func TestGoexit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		exit := func(ctx context.Context, tx *db.Tx) error {
			if err := insert("lost")(ctx, tx); err != nil {
				return err
			}
			runtime.Goexit()
			return nil
		}
		if err := d.Update(t.Context(), exit); err == nil {
			t.Error("no error")
		}
		for i, err := range together(t, d, insert("a"), exit, insert("b")) {
			if err == nil {
				t.Errorf("closure %d: no error, but its transaction is gone", i)
			}
		}
		if err := d.Update(t.Context(), insert("c")); err != nil {
			t.Error(err)
		}
		want(t, names(t, d), "c")
	})
}

// insertMuch writes n rows of a KiB.
func insertMuch(name string, n int) func(context.Context, *db.Tx) error {
	return func(_ context.Context, tx *db.Tx) error {
		for i := range n {
			text := fmt.Sprint(name, i, strings.Repeat("x", 1000))
			if _, err := tx.Exec("INSERT INTO items (name) VALUES (?)", text); err != nil {
				return err
			}
		}
		return nil
	}
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items, dbtest.MaxPages(40))
		errs := together(t, d, insert("a"), insertMuch("much", 1000), insert("b"))
		if errs[0] != nil || errs[2] != nil {
			t.Errorf("the small ones: got %v and %v", errs[0], errs[2])
		}
		if !db.IsFull(errs[1]) {
			t.Errorf("the large one: got %v, want full", errs[1])
		}
		if err := d.Update(t.Context(), insertMuch("much", 1000)); !db.IsFull(err) {
			t.Errorf("the large one alone: got %v, want full", err)
		}
		if err := d.Update(t.Context(), insert("c")); err != nil {
			t.Errorf("afterwards: %v", err)
		}
		want(t, names(t, d), "a", "b", "c")
	})
}

// A full disk can end the transaction under a closure. One that goes on regardless must not
// commit piecemeal.
func TestDiskFullIgnored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items, dbtest.MaxPages(40))
		stubborn := func(ctx context.Context, tx *db.Tx) error {
			if err := insertMuch("much", 1000)(ctx, tx); !db.IsFull(err) {
				t.Errorf("got %v, want full", err)
			}
			_ = insert("stray")(ctx, tx)
			tx.AfterCommit(func() { t.Error("AfterCommit without a commit") })
			return nil
		}
		errs := together(t, d, insert("a"), stubborn, insert("b"))
		if errs[0] != nil || errs[1] == nil || errs[2] != nil {
			t.Errorf("got %v, want an error of the second alone", errs)
		}
		if err := d.Update(t.Context(), stubborn); err == nil {
			t.Error("alone: no error")
		}
		want(t, names(t, d), "a", "b")
	})
}

func TestClosureCannotCommit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		for _, statement := range []string{"COMMIT", "ROLLBACK"} {
			early := func(ctx context.Context, tx *db.Tx) error {
				err := insert("early")(ctx, tx)
				_, _ = tx.Exec(statement)
				_ = insert("stray")(ctx, tx)
				return err
			}
			if err := d.Update(t.Context(), early); err == nil {
				t.Errorf("%s alone: no error", statement)
			}
			errs := together(t, d, insert("a "+statement), early, insert("b "+statement))
			if errs[0] != nil || errs[1] == nil || errs[2] != nil {
				t.Errorf("%s: got %v, want an error of the second alone", statement, errs)
			}
		}
		want(t, names(t, d), "a COMMIT", "b COMMIT", "a ROLLBACK", "b ROLLBACK")
	})
}

func TestSynchronous(t *testing.T) {
	t.Parallel()
	const normal, full = 1, 2
	type update = func(context.Context, func(context.Context, *db.Tx) error) error
	for _, level := range []db.Durability{db.Relaxed, db.Full} {
		synced := false
		d := dbtest.Open(t, items, durability(level), func(o *db.Options) {
			o.Observe = func(s db.CommitStats) { synced = s.Fsync }
		})
		for i, call := range []update{d.Update, d.UpdateLazy, d.UpdateLazy, d.Update, d.Update, d.UpdateLazy} {
			want := normal
			if level == db.Full && (i == 0 || i == 3 || i == 4) {
				want = full
			}
			var got int
			err := call(t.Context(), func(_ context.Context, tx *db.Tx) error {
				return tx.QueryRow("PRAGMA synchronous").Scan(&got)
			})
			if err != nil {
				t.Fatal(err)
			}
			if got != want || synced != (want == full) {
				t.Errorf("%s, update %d: synchronous is %d, fsync reported %v, want %d", level, i, got, synced, want)
			}
		}
	}
}

// A group syncs when one of its closures is durable.
func TestLazyRidesAlong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var stats []db.CommitStats
		d := dbtest.Open(t, items, durability(db.Full), func(o *db.Options) {
			o.Observe = func(s db.CommitStats) { stats = append(stats, s) }
		})
		hold := make(chan struct{})
		var callers sync.WaitGroup
		start := func(update func(context.Context, func(context.Context, *db.Tx) error) error, f func(context.Context, *db.Tx) error) {
			callers.Go(func() {
				if err := update(t.Context(), f); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait()
		}
		start(d.UpdateLazy, func(context.Context, *db.Tx) error { <-hold; return nil })
		start(d.UpdateLazy, insert("a"))
		start(d.Update, insert("b"))
		start(d.UpdateLazy, insert("c"))
		close(hold)
		callers.Wait()
		if len(stats) != 2 || stats[0].Fsync || !stats[1].Fsync || stats[1].Batch != 3 {
			t.Errorf("got %+v, want one closure without a sync, then three with it", stats)
		}
	})
}

func TestCancelBeforeItBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		hold := make(chan struct{})
		var callers sync.WaitGroup
		callers.Go(func() {
			if err := d.Update(t.Context(), func(context.Context, *db.Tx) error { <-hold; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		callers.Go(func() {
			if err := d.Update(ctx, insert("never")); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v, want %v", err, context.Canceled)
			}
		})
		callers.Go(func() {
			if err := d.Update(t.Context(), insert("a")); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		cancel()
		synctest.Wait() // the cancelled caller has gone while the writer is still held
		close(hold)
		callers.Wait()
		want(t, names(t, d), "a")
	})
}

func TestCancelAfterItBegan(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	type key struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "value"))
	err := d.Update(ctx, func(inner context.Context, tx *db.Tx) error {
		cancel()
		if inner.Err() != nil || inner.Done() != nil {
			t.Error("the closure's context ends with its caller's")
		}
		if inner.Value(key{}) != "value" {
			t.Error("the closure's context lost a value")
		}
		return insert("a")(inner, tx)
	})
	if err != nil {
		t.Errorf("got %v, want that what has begun is finished", err)
	}
	want(t, names(t, d), "a")
	if err := d.Update(ctx, insert("b")); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// Closures of one group see each other's changes; readers see none of them before the commit.
func TestGroupSeesItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		var inside, outside []string
		errs := together(t, d, insert("a"), func(_ context.Context, tx *db.Tx) (err error) {
			inside, err = namesIn(tx.Rx)
			outside = names(t, d)
			return err
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		want(t, inside, "a")
		want(t, outside)
	})
}

// Many callers of every kind at once: what was acknowledged is there, the rest is not.
func TestStress(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items, func(o *db.Options) { o.Readers = 3 })
	var kept, announced atomic.Int64
	var callers sync.WaitGroup
	for c := range 16 {
		callers.Go(func() {
			for i := range 40 {
				err := d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					tx.AfterCommit(func() { announced.Add(1) })
					if err := insert(fmt.Sprint(c, ".", i))(ctx, tx); err != nil {
						return err
					}
					if (c+i)%5 == 0 {
						return errMine
					}
					return nil
				})
				switch {
				case err == nil:
					kept.Add(1)
				case err != errMine:
					t.Error(err)
				}
				s, err := d.Snapshot(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				var n, again int
				if err := errors.Join(
					s.QueryRow("SELECT count(*) FROM items").Scan(&n),
					s.QueryRow("SELECT count(*) FROM items").Scan(&again),
				); err != nil || n != again {
					t.Errorf("a snapshot changed from %d to %d rows: %v", n, again, err)
				}
				s.Close()
			}
		})
	}
	callers.Wait()
	if got := int64(len(names(t, d))); got != kept.Load() || got != announced.Load() {
		t.Errorf("%d rows, %d acknowledged, %d announced", got, kept.Load(), announced.Load())
	}
	if err := d.IntegrityCheck(t.Context()); err != nil {
		t.Error(err)
	}
}
