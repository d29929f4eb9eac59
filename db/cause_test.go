package db_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"picloud/db"
	"picloud/db/dbtest"
)

// begin makes a first commit, which begins the log and syncs its header.
func begin(t *testing.T, d *db.DB) {
	t.Helper()
	if err := d.Update(t.Context(), insert("first")); err != nil {
		t.Fatal(err)
	}
}

// What the counters say is what is in the files: the log begins anew with each checkpoint
// that emptied it, and grows by what is written to it until then.
func TestWrittenIsWhatTheFilesTook(t *testing.T) {
	t.Parallel()
	for _, level := range []db.Durability{db.Full, db.Relaxed} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			d := dbtest.Open(t, items, durability(level))
			begin(t, d)
			opened, log := d.Written(), size(t, d.Path()+"-wal")
			const commits = 20
			for i := range commits {
				if err := d.Update(t.Context(), insert(strings.Repeat("x", 500)+fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			w := d.Written()
			if got, want := w.LogBytes-opened.LogBytes, size(t, d.Path()+"-wal")-log; got != want || got < commits*4096 {
				t.Errorf("%d bytes written to the log, which grew by %d", got, want)
			}
			syncs := int64(commits)
			if level == db.Relaxed {
				syncs = 0
			}
			if w.LogSyncs-opened.LogSyncs != syncs || w.FileBytes != opened.FileBytes {
				t.Errorf("got %+v, then %+v; want %d fsyncs of the log and nothing in the file", opened, w, syncs)
			}
			if err := d.Checkpoint(t.Context()); err != nil {
				t.Fatal(err)
			}
			c := d.Written()
			if n := c.FileBytes - w.FileBytes; n < 4096 || n%4096 != 0 || n > w.LogBytes {
				t.Errorf("the checkpoint wrote %d bytes to the file, want some whole pages, each once", n)
			}
			if c.FileSyncs-w.FileSyncs != 1 || c.LogSyncs-w.LogSyncs != 1 || c.LogBytes != w.LogBytes {
				t.Errorf("before the checkpoint %+v, after it %+v; want one fsync of each file", w, c)
			}
		})
	}
}

func size(t *testing.T, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// Two databases of one process are told apart, by the names that SQLite knows them by.
func TestWrittenThroughALink(t *testing.T) {
	t.Parallel()
	other := dbtest.Open(t, items)
	before := other.Written()
	dir := t.TempDir()
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	o := db.Options{}
	items(&o)
	d, err := db.Open(t.Context(), filepath.Join(link, "a.db"), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	opened := d.Written()
	begin(t, d)
	if got, want := d.Written().LogBytes-opened.LogBytes, size(t, d.Path()+"-wal"); got != want || got == 0 {
		t.Errorf("%d bytes written to the log, which has %d", got, want)
	}
	if other.Written() != before {
		t.Errorf("the other database: %+v, then %+v", before, other.Written())
	}
}

func TestReadsWriteNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.Open(t, items, durability(db.Full))
	before := d.Written()
	names(t, d)
	err := d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := namesIn(tx.Rx)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if d.Written() != before {
		t.Errorf("before %+v, after %+v", before, d.Written())
	}
}

// caused is a closure that counts for causes.
func caused(f func(context.Context, *db.Tx) error, causes ...byte) func(context.Context, *db.Tx) error {
	return func(ctx context.Context, tx *db.Tx) error {
		for i, c := range causes {
			tx.CountFor(db.Cause{App: [16]byte{c}}, int64(i+1))
		}
		return f(ctx, tx)
	}
}

// sharesOf opens a database and returns the shares of the commits that run makes.
func sharesOf(t *testing.T, level db.Durability, run func(*db.DB)) (shares []db.Share, wrote db.Written) {
	t.Helper()
	var all [][]db.Share
	d := dbtest.Open(t, items, durability(level), func(o *db.Options) {
		o.Observe = func(s db.CommitStats) { all = append(all, slices.Clone(s.Shares)) }
	})
	begin(t, d)
	all = nil
	before := d.Written()
	run(d)
	after := d.Written()
	return slices.Concat(all...), db.Written{LogBytes: after.LogBytes - before.LogBytes, LogSyncs: after.LogSyncs - before.LogSyncs}
}

func sumsOf(shares []db.Share) (bytes, syncs map[byte]int64) {
	bytes, syncs = map[byte]int64{}, map[byte]int64{}
	for _, s := range shares {
		bytes[s.Cause.App[0]] += s.Bytes
		syncs[s.Cause.App[0]] += s.MicroSyncs
	}
	return bytes, syncs
}

func add(m map[byte]int64) (sum int64) {
	for _, n := range m {
		sum += n
	}
	return sum
}

func TestSharesAddUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shares, wrote := sharesOf(t, db.Full, func(d *db.DB) {
			errs := together(t, d,
				caused(insert("a"), 1), caused(insert(strings.Repeat("b", 3000)), 2), insert("c"),
				caused(func(context.Context, *db.Tx) error { return errMine }, 3), caused(insert("d"), 4, 5))
			if errs[3] != errMine {
				t.Fatal(errs)
			}
		})
		bytes, syncs := sumsOf(shares)
		if add(bytes) != wrote.LogBytes || add(syncs) != wrote.LogSyncs*1e6 || wrote.LogSyncs == 0 {
			t.Errorf("shares of %d bytes and %d µfsyncs, written were %+v", add(bytes), add(syncs), wrote)
		}
		if _, is := bytes[3]; is {
			t.Error("a closure that failed has a share")
		}
		if bytes[2] < 10*bytes[1] {
			t.Errorf("the closure with 3,000 bytes has %d, that with 1 has %d", bytes[2], bytes[1])
		}
		if rest := bytes[5] - 2*bytes[4]; rest < -2 || rest > 2 {
			t.Errorf("causes of weight 1 and 2 have %d and %d bytes", bytes[4], bytes[5])
		}
		if syncs[1] != syncs[2] || syncs[1] != 250_000 {
			t.Errorf("µfsyncs %v, want a quarter for each closure", syncs)
		}
	})
}

// Who didn't ask for an fsync has no part in it, unless nobody asked.
func TestLazyClosuresPayNoFsync(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shares, wrote := sharesOf(t, db.Full, func(d *db.DB) {
			hold := make(chan struct{})
			go d.Update(t.Context(), func(context.Context, *db.Tx) error { <-hold; return nil })
			synctest.Wait()
			go d.UpdateLazy(t.Context(), caused(insert("lazy"), 1))
			go d.UpdateFor(t.Context(), db.Cause{App: [16]byte{2}}, insert("durable"))
			synctest.Wait()
			close(hold)
			synctest.Wait()
		})
		bytes, syncs := sumsOf(shares)
		if bytes[1] == 0 || bytes[2] == 0 || syncs[1] != 0 || syncs[2] != 1e6 || wrote.LogSyncs != 1 {
			t.Errorf("bytes %v, µfsyncs %v, written %+v; want both to have bytes, and the fsync with 2", bytes, syncs, wrote)
		}
	})
}

func TestDivider(t *testing.T) {
	t.Parallel()
	for _, n := range []int64{0, 1, 7, 1e6, 1 << 50} {
		for _, weights := range [][]int64{{1}, {1, 1, 1}, {3, 0, 5}, {1 << 40, 1, 1 << 39}} {
			var sum int64
			for i, part := range db.Divide(n, weights) {
				sum += part
				if part < 0 || weights[i] == 0 && part != 0 {
					t.Errorf("%d by %v: part %d is %d", n, weights, i, part)
				}
			}
			if sum != n {
				t.Errorf("%d by %v: the parts are %d together", n, weights, sum)
			}
		}
	}
}
