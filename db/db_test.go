package db_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"picloud/db"
	"picloud/db/dbtest"
)

// items is the schema of most tests here: something small, with a deferred reference.
func items(o *db.Options) {
	o.Schema = fstest.MapFS{"0001_items.sql": {Data: []byte(`
		CREATE TABLE items (
			n      INTEGER PRIMARY KEY,
			name   TEXT NOT NULL UNIQUE CHECK (name <> ''),
			parent INTEGER REFERENCES items(n),
			later  INTEGER REFERENCES items(n) DEFERRABLE INITIALLY DEFERRED
		) STRICT;`)}}
}

func insert(name string) func(context.Context, *db.Tx) error {
	return func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec("INSERT INTO items (name) VALUES (?)", name)
		return err
	}
}

// names lists the items in the order of their insertion.
func names(tb testing.TB, d *db.DB) []string {
	tb.Helper()
	var all []string
	err := d.View(tb.Context(), func(_ context.Context, rx *db.Rx) (err error) {
		all, err = namesIn(rx)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}

func namesIn(rx *db.Rx) ([]string, error) {
	rows, err := rx.Query("SELECT name FROM items ORDER BY n")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			return nil, err
		}
		all = append(all, name)
	}
	return all, rows.Err()
}

func want(tb testing.TB, got []string, want ...string) {
	tb.Helper()
	if !slices.Equal(got, want) {
		tb.Errorf("got %q, want %q", got, want)
	}
}

// together runs the closures in one group commit, in order, and returns their errors. It
// needs a synctest bubble, which tells when a caller waits in the queue.
func together(t *testing.T, d *db.DB, closures ...func(context.Context, *db.Tx) error) []error {
	t.Helper()
	hold := make(chan struct{})
	var callers sync.WaitGroup
	start := func(f func(context.Context, *db.Tx) error, err *error) {
		callers.Go(func() { *err = d.Update(t.Context(), f) })
		synctest.Wait()
	}
	var first error
	start(func(context.Context, *db.Tx) error { <-hold; return nil }, &first)
	errs := make([]error, len(closures))
	for i, f := range closures {
		start(f, &errs[i])
	}
	close(hold)
	callers.Wait()
	if first != nil {
		t.Fatal(first)
	}
	return errs
}

func TestUpdateAndView(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	for _, name := range []string{"a", "b"} {
		if err := d.Update(t.Context(), insert(name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.UpdateLazy(t.Context(), insert("c")); err != nil {
		t.Fatal(err)
	}
	want(t, names(t, d), "a", "b", "c")
}

func TestReadersCannotWrite(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query("INSERT INTO items (name) VALUES ('a') RETURNING n")
		if err != nil {
			return err
		}
		rows.Next()
		return rows.Err()
	})
	if err == nil {
		t.Error("a View wrote")
	}
	want(t, names(t, d))
}

func TestNested(t *testing.T) {
	t.Parallel()
	d, other := dbtest.Open(t, items), dbtest.OpenLogs(t)
	inner := map[string]func(context.Context, *db.DB) error{
		"Update": func(ctx context.Context, d *db.DB) error {
			return d.Update(ctx, func(context.Context, *db.Tx) error { return nil })
		},
		"UpdateLazy": func(ctx context.Context, d *db.DB) error {
			return d.UpdateLazy(ctx, func(context.Context, *db.Tx) error { return nil })
		},
		"View": func(ctx context.Context, d *db.DB) error {
			return d.View(ctx, func(context.Context, *db.Rx) error { return nil })
		},
		"Snapshot": func(ctx context.Context, d *db.DB) error {
			s, err := d.Snapshot(ctx)
			if err == nil {
				s.Close()
			}
			return err
		},
		"Backup": func(ctx context.Context, d *db.DB) error {
			return d.Backup(ctx, filepath.Join(t.TempDir(), "copy.db"))
		},
	}
	for name, call := range inner {
		for _, target := range []*db.DB{d, other} {
			check := func(ctx context.Context) error {
				if err := call(context.WithoutCancel(ctx), target); !errors.Is(err, db.ErrNested) {
					t.Errorf("%s inside: got %v, want %v", name, err, db.ErrNested)
				}
				return nil
			}
			if err := d.Update(t.Context(), func(ctx context.Context, _ *db.Tx) error { return check(ctx) }); err != nil {
				t.Error(err)
			}
			if err := d.View(t.Context(), func(ctx context.Context, _ *db.Rx) error { return check(ctx) }); err != nil {
				t.Error(err)
			}
		}
	}
}

func TestTransactionIsOver(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	var tx *db.Tx
	var rx *db.Rx
	err := errors.Join(
		d.Update(t.Context(), func(_ context.Context, x *db.Tx) error { tx = x; return nil }),
		d.View(t.Context(), func(_ context.Context, x *db.Rx) error { rx = x; return nil }),
	)
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if err := s.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	if _, err := tx.Exec("DELETE FROM items"); err == nil || !strings.Contains(err.Error(), "over") {
		t.Errorf("Exec: got %v, want that the transaction is over", err)
	}
	for what, rx := range map[string]*db.Rx{"Tx": tx.Rx, "Rx": rx, "Snapshot": s.Rx} {
		if _, err := rx.Query("SELECT 1"); err == nil || !strings.Contains(err.Error(), "over") {
			t.Errorf("%s.Query: got %v, want that the transaction is over", what, err)
		}
		var n int
		if err := rx.QueryRow("SELECT 1").Scan(&n); err == nil || !strings.Contains(err.Error(), "over") {
			t.Errorf("%s.QueryRow: got %v, want that the transaction is over", what, err)
		}
	}
}

func TestErrorKinds(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	update(t, d, "INSERT INTO items (n, name) VALUES (1, 'a')")
	kinds := map[string]func(error) bool{
		"unique": db.IsUnique, "foreign key": db.IsForeignKey, "full": db.IsFull,
		"corrupt": db.IsCorrupt, "busy": db.IsBusy,
	}
	for _, test := range []struct{ name, statement, kind string }{
		{"unique index", "INSERT INTO items (name) VALUES ('a')", "unique"},
		{"primary key", "INSERT INTO items (n, name) VALUES (1, 'b')", "unique"},
		{"foreign key", "INSERT INTO items (name, parent) VALUES ('b', 99)", "foreign key"},
		{"check", "INSERT INTO items (name) VALUES ('')", ""},
		{"type of a strict table", "INSERT INTO items (n, name) VALUES ('x', 'b')", ""},
		{"no such table", "INSERT INTO nothing VALUES (1)", ""},
	} {
		err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, err := tx.Exec(test.statement)
			return err
		})
		if err == nil {
			t.Errorf("%s: no error", test.name)
		}
		for kind, is := range kinds {
			if got, want := is(fmt.Errorf("wrapped: %w", err)), kind == test.kind; got != want {
				t.Errorf("%s: is it %q? got %v, want %v (%v)", test.name, kind, got, want, err)
			}
		}
	}
	for kind, is := range kinds {
		if is(nil) || is(errors.New("x")) {
			t.Errorf("%q holds for an error that isn't SQLite's", kind)
		}
	}
}

func TestBadStatement(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		var n int
		return rx.QueryRow("SELECT nothing FROM items").Scan(&n)
	})
	if err == nil || !strings.Contains(err.Error(), "nothing") {
		t.Errorf("got %v, want an error that names the column", err)
	}
}

// Rows that a closure forgets would keep the snapshot for ever, and Close waiting.
func TestForgottenRows(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items, func(o *db.Options) { o.Readers = 1 })
	for _, name := range []string{"a", "b", "c"} {
		if err := d.Update(t.Context(), insert(name)); err != nil {
			t.Fatal(err)
		}
	}
	forget := func(rx *db.Rx) error {
		rows, err := rx.Query("SELECT name FROM items")
		if err == nil {
			rows.Next()
		}
		return err
	}
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error { return forget(rx) })
	if err != nil {
		t.Fatal(err)
	}
	err = d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		return errors.Join(forget(tx.Rx), insert("d")(ctx, tx))
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, names(t, d), "a", "b", "c", "d")
}

// A statement's rows stay whole when the loop over them runs the same text again.
func TestSameTextInsideItsRows(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	for _, name := range []string{"a", "b", "c"} {
		if err := d.Update(t.Context(), insert(name)); err != nil {
			t.Fatal(err)
		}
	}
	const query = "SELECT name FROM items ORDER BY n"
	var got []string
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		outer, err := rx.Query(query)
		if err != nil {
			return err
		}
		defer outer.Close()
		for outer.Next() {
			var name, first string
			if err := errors.Join(outer.Scan(&name), rx.QueryRow(query).Scan(&first)); err != nil {
				return err
			}
			all, err := namesIn(rx)
			if err != nil {
				return err
			}
			got = append(got, name+first+strings.Join(all, ""))
		}
		return outer.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "aaabc", "baabc", "caabc")
}

func TestStatementsAreBounded(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		for i := range 2 * db.MaxStatements {
			var n int
			if err := tx.QueryRow(fmt.Sprintf("SELECT %d", i)).Scan(&n); err != nil || n != i {
				return fmt.Errorf("got %d, want %d: %w", n, i, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Update(t.Context(), insert("a")); err != nil {
		t.Fatal(err)
	}
	if got := d.WriterStatements(); got > db.MaxStatements {
		t.Errorf("%d statements are kept, want at most %d", got, db.MaxStatements)
	}
	want(t, names(t, d), "a")
}

func TestSnapshotIsolation(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	if err := d.Update(t.Context(), insert("a")); err != nil {
		t.Fatal(err)
	}
	s, err := d.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	// Committed before the snapshot's first statement, but after it was taken.
	if err := d.Update(t.Context(), insert("b")); err != nil {
		t.Fatal(err)
	}
	got, err := namesIn(s.Rx)
	if err != nil {
		t.Fatal(err)
	}
	want(t, got, "a")
	want(t, names(t, d), "a", "b")
}

// A lazy snapshot is settled by its first statement, not by the call.
func TestSnapshotLazy(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	s, err := d.SnapshotLazy(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for range 2 { // the second time it doesn't move any more
		if err := d.Update(t.Context(), insert(fmt.Sprint("a", len(names(t, d))))); err != nil {
			t.Fatal(err)
		}
		got, err := namesIn(s.Rx)
		if err != nil {
			t.Fatal(err)
		}
		want(t, got, "a0")
	}
}

// A caller that has seen a commit announced sees its rows in the snapshot it takes then.
func TestSnapshotShowsWhatWasAnnounced(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	announced := make(chan int, 1)
	var writer sync.WaitGroup
	writer.Go(func() {
		defer close(announced)
		for i := range 200 {
			err := d.Update(context.Background(), func(ctx context.Context, tx *db.Tx) error {
				tx.AfterCommit(func() {
					select {
					case announced <- i + 1:
					default:
					}
				})
				return insert(fmt.Sprint(i))(ctx, tx)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	for least := range announced {
		s, err := d.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var n int
		if err := s.QueryRow("SELECT count(*) FROM items").Scan(&n); err != nil {
			t.Fatal(err)
		}
		s.Close()
		if n < least {
			t.Fatalf("the snapshot has %d rows, %d were announced before it", n, least)
		}
	}
	writer.Wait()
}

func TestReadersAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items, func(o *db.Options) { o.Readers = 2 })
		var pinned []*db.Snapshot
		for range 2 {
			s, err := d.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pinned = append(pinned, s)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := d.Snapshot(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("third reader: got %v, want %v", err, context.DeadlineExceeded)
		}
		go func() {
			time.Sleep(time.Second)
			pinned[0].Close()
		}()
		want(t, names(t, d)) // waits for it
		pinned[1].Close()
		if got := d.OpenReaders(); got != 2 {
			t.Errorf("%d readers are open, want 2", got)
		}
	})
}

func TestIdleReadersClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		var pinned []*db.Snapshot
		for range 5 {
			s, err := d.Snapshot(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			pinned = append(pinned, s)
		}
		for _, s := range pinned {
			s.Close()
		}
		if got := d.OpenReaders(); got != 5 {
			t.Errorf("%d readers are open, want 5", got)
		}
		time.Sleep(db.KeepIdle / 2)
		names(t, d) // keeps one of them in use
		time.Sleep(db.KeepIdle)
		synctest.Wait()
		if got := d.OpenReaders(); got != 1 {
			t.Errorf("%d readers are open after a while, want 1", got)
		}
		names(t, d)
	})
}

func TestViewEndsWithItsContext(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	ctx, cancel := context.WithCancel(t.Context())
	err := d.View(ctx, func(_ context.Context, rx *db.Rx) error {
		var n int
		if err := rx.QueryRow("SELECT 1").Scan(&n); err != nil {
			return err
		}
		cancel()
		return rx.QueryRow("SELECT 1").Scan(&n)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if err := d.View(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
}

// The file's owner alone may read it: it holds password hashes.
func TestFileMode(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	if err := d.Update(t.Context(), insert("a")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{d.Path(), d.Path() + "-wal", d.Path() + "-shm"} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s: mode %o, want 600", filepath.Base(name), got)
		}
	}
}

func TestOddPath(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?c%41#d&e=f;:é.db")
	d, err := db.Open(t.Context(), path, db.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 || entries[0].Name() != filepath.Base(path) {
		t.Errorf("got %v, %v, want only %q", entries, err, filepath.Base(path))
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text := filepath.Join(dir, "text.db")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database at all\n", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		o          db.Options
		is         func(error) bool
	}{
		{"a text file", text, db.Options{}, db.IsCorrupt},
		{"a directory that isn't there", filepath.Join(dir, "x", "y.db"), db.Options{}, func(err error) bool { return errors.Is(err, os.ErrNotExist) }},
		{"an unknown durability", filepath.Join(dir, "z.db"), db.Options{Durability: "some"}, func(err error) bool { return strings.Contains(err.Error(), `"some"`) }},
	} {
		d, err := db.Open(t.Context(), test.path, test.o)
		if err == nil {
			d.Close()
			t.Errorf("%s: opened", test.name)
		} else if !test.is(err) || !strings.Contains(err.Error(), test.path) {
			t.Errorf("%s: got %v", test.name, err)
		}
	}
}

func TestPragmas(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items, func(o *db.Options) { o.AutoCheckpoint = 1234; o.MaxPages = 5000 })
	check := func(rx *db.Rx, who, pragma, want string) {
		var got string
		if err := rx.QueryRow("PRAGMA " + pragma).Scan(&got); err != nil || got != want {
			t.Errorf("%s: %s is %q, %v, want %q", who, pragma, got, err, want)
		}
	}
	common := func(rx *db.Rx, who string) {
		check(rx, who, "busy_timeout", "5000")
		check(rx, who, "journal_mode", "wal")
		check(rx, who, "foreign_keys", "1")
		check(rx, who, "temp_store", "2")
	}
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		common(tx.Rx, "writer")
		check(tx.Rx, "writer", "wal_autocheckpoint", "1234")
		check(tx.Rx, "writer", "max_page_count", "5000")
		check(tx.Rx, "writer", "query_only", "0")
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var readers []*db.Snapshot
	for i := range 3 { // every connection has them, not only the first
		s, err := d.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		readers = append(readers, s)
		common(s.Rx, fmt.Sprint("reader ", i))
		check(s.Rx, "reader", "query_only", "1")
	}
	for _, s := range readers {
		s.Close()
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // the bubble fails when a goroutine is left over
		d := dbtest.Open(t, items)
		names(t, d)
		hold := make(chan struct{})
		var callers sync.WaitGroup
		errs := make([]error, 4)
		for i := range errs {
			callers.Go(func() {
				errs[i] = d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
					<-hold
					return insert(fmt.Sprint(i))(ctx, tx)
				})
			})
		}
		synctest.Wait()
		closed := make(chan error)
		go func() { closed <- d.Close() }()
		synctest.Wait()
		if err := d.Update(t.Context(), insert("late")); !errors.Is(err, db.ErrClosed) {
			t.Errorf("Update while closing: got %v, want %v", err, db.ErrClosed)
		}
		close(hold)
		if err := <-closed; err != nil {
			t.Error(err)
		}
		callers.Wait()
		if err := errors.Join(errs...); err != nil {
			t.Errorf("Updates before Close: %v", err)
		}
		if err := d.View(t.Context(), nil); !errors.Is(err, db.ErrClosed) {
			t.Errorf("View: got %v, want %v", err, db.ErrClosed)
		}
		if _, err := d.Snapshot(t.Context()); !errors.Is(err, db.ErrClosed) {
			t.Errorf("Snapshot: got %v, want %v", err, db.ErrClosed)
		}
		if err := d.Checkpoint(t.Context()); !errors.Is(err, db.ErrClosed) {
			t.Errorf("Checkpoint: got %v, want %v", err, db.ErrClosed)
		}
		if err := d.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
		if left := descriptors(t, d.Path()); left != 0 {
			t.Errorf("%d file descriptors are left open", left)
		}
	})
}

func TestCloseWaitsForSnapshots(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d, err := db.Open(t.Context(), filepath.Join(t.TempDir(), "x.db"), db.Options{})
		if err != nil {
			t.Fatal(err)
		}
		short, err := d.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		long, err := d.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(time.Second)
			short.Close()
		}()
		start := time.Now()
		err = d.Close()
		if err == nil || !strings.Contains(err.Error(), "1 read transaction") {
			t.Errorf("got %v, want that one read transaction is open", err)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("Close waited %v, want 5s", took)
		}
		if err := long.Close(); err != nil {
			t.Error(err)
		}
		if left := descriptors(t, d.Path()); left != 0 {
			t.Errorf("%d file descriptors are left open", left)
		}
	})
}

// descriptors counts the process's open files whose names begin with path.
func descriptors(t *testing.T, path string) (n int) {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc here")
	}
	for _, e := range entries {
		if name, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && strings.HasPrefix(name, path) {
			n++
		}
	}
	return n
}

func TestFakeTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := dbtest.Open(t, items)
		now := func() (write, read time.Time) {
			err := errors.Join(
				d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error { write = tx.Now; return nil }),
				d.View(t.Context(), func(_ context.Context, rx *db.Rx) error { read = rx.Now; return nil }),
			)
			if err != nil {
				t.Fatal(err)
			}
			return write, read
		}
		for range 3 {
			write, read := now()
			if !write.Equal(time.Now()) || !read.Equal(time.Now()) || write.Location() != time.UTC {
				t.Errorf("got %v and %v, want %v", write, read, time.Now().UTC())
			}
			time.Sleep(24 * time.Hour)
		}
	})
}

func TestMaintenance(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	if err := d.Update(t.Context(), insert("a")); err != nil {
		t.Fatal(err)
	}
	size, err := d.Size()
	if err != nil || size < 4096 {
		t.Errorf("size %d, %v", size, err)
	}
	s, err := d.Snapshot(t.Context()) // neither of them waits for a reader
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := d.Checkpoint(t.Context()); err != nil {
		t.Error(err)
	}
	if err := d.IntegrityCheck(t.Context()); err != nil {
		t.Error(err)
	}
	dst := filepath.Join(t.TempDir(), "copy.db")
	for _, name := range []string{"b", "c"} { // the second one replaces the first
		if err := d.Update(t.Context(), insert(name)); err != nil {
			t.Fatal(err)
		}
		if err := d.Backup(t.Context(), dst); err != nil {
			t.Fatal(err)
		}
	}
	o := db.Options{}
	items(&o)
	restored, err := db.Open(t.Context(), dst, o)
	if err != nil {
		t.Fatal(err)
	}
	defer restored.Close()
	want(t, names(t, restored), "a", "b", "c")
	if info, err := os.Stat(dst); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the copy has mode %v, %v, want 600", info.Mode(), err)
	}
	err = d.Backup(t.Context(), filepath.Join(t.TempDir(), "no", "such", "directory.db"))
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
}

func TestIntegrityCheckFindsDamage(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	o := db.Options{Durability: db.Relaxed}
	items(&o)
	d, err := db.Open(t.Context(), path, o)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2000 {
		if err := d.Update(t.Context(), insert(fmt.Sprint("name ", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := file.WriteAt(make([]byte, 3*4096), 5*4096); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if d, err = db.Open(t.Context(), path, o); err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := d.IntegrityCheck(t.Context()); err == nil {
		t.Error("no damage was found")
	}
}

func TestNoRows(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items)
	err := d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
		var name string
		return rx.QueryRow("SELECT name FROM items").Scan(&name)
	})
	if !errors.Is(err, sql.ErrNoRows) {
		t.Errorf("got %v, want %v", err, sql.ErrNoRows)
	}
}
