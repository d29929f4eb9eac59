package replica

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/benbjohnson/litestream"
	"golang.org/x/sys/unix"
)

// What can be wrong with a target is seen in the status, stops nobody who writes, and is
// over as soon as it is mended.
func TestFaultsOfTheTarget(t *testing.T) {
	for mode, want := range map[string]string{"refuse": "", "silent": "did not answer", "denied": "access-key-id"} {
		for _, when := range []string{"at the start", "later"} {
			t.Run(mode+" "+when, func(t *testing.T) {
				s := newS3(t)
				d := newDevice(t, s.yml("pi"))
				d.impatient = time.Second
				if when == "at the start" {
					d.offline(s, mode)
				} else {
					d.start(Options{})
					d.insert("a")
					d.sync()
					s.set(mode)
				}
				d.insert("b")
				until(t, "the status fails", func() bool { return d.r.Status().State == Failing })
				st := d.r.Status()
				if !strings.Contains(st.LastError, want) || strings.Contains(st.LastError, "SKTEST") || d.r.health.errs.Load() == 0 {
					t.Errorf("status: %+v", st)
				}
				if d.r.Lag() == 0 {
					t.Error("there is no lag")
				}
				until(t, "it is noted for a restart", func() bool { return !d.r.notes.behindSince().IsZero() })
				d.insert("c") // nobody waits for the target
				s.set("")
				d.sync()
				until(t, "the status is well", func() bool { return d.r.Status().State == OK && d.r.Lag() == 0 })
				if !d.r.notes.behindSince().IsZero() {
					t.Error("still noted as behind")
				}
				dst := filepath.Join(t.TempDir(), "copy.db")
				if _, err := d.r.Restore(t.Context(), Moment{}, dst); err != nil || rowsIn(t, dst) != d.rows() {
					t.Errorf("the replica has %q, the database %q: %v", rowsIn(t, dst), d.rows(), err)
				}
			})
		}
	}
}

// offline starts a device that has a database, while its target fails.
func (d *device) offline(s *fakeS3, mode string) {
	d.t.Helper()
	d.make(Options{})
	d.open()
	d.insert("a")
	d.db.Close()
	s.set(mode)
	d.start(Options{})
}

// When litestream fails half-way in opening the database, it drops the process's locks on it:
// another program would take the file for unused, and delete its log.
func TestLocksAreHeldAfterAFailedStart(t *testing.T) {
	d := newDevice(t, fileYML(filepath.Join(t.TempDir(), "copy")))
	d.make(Options{})
	d.open()
	d.insert("a")
	if err := os.WriteFile(d.dir+"/.picloud.db-litestream", nil, 0o400); err != nil { // where it wants a directory
		t.Fatal(err)
	}
	if !sharedLockHeld(t, d.path()) {
		t.Fatal("SQLite's shared lock isn't there before")
	}
	if err := d.r.stage(t.Context()); err == nil {
		t.Fatal("staged without a place for it")
	}
	if !sharedLockHeld(t, d.path()) {
		t.Error("no process holds SQLite's shared lock")
	}
	d.db.Close()
	if err := d.r.Close(); err != nil {
		t.Error(err)
	}
}

// A stop right after a start cancelled the library while it opened the database, which then
// stayed half open: the last changes could not be staged, and the stop ended with "sync: invalid
// argument".
func TestStopRightAfterAStart(t *testing.T) {
	d := newDevice(t, fileYML(filepath.Join(t.TempDir(), "copy")))
	d.make(Options{})
	d.open()
	d.insert("a")
	if err := d.r.openLocked(t.Context()); err != nil {
		t.Fatal(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := d.r.syncLocked(stopped); err != nil {
		t.Errorf("the first staging, cancelled: %v", err)
	}
	if err := d.r.stage(t.Context()); err != nil {
		t.Errorf("and the next: %v", err)
	}
	d.db.Close()
	if err := d.r.Close(); err != nil {
		t.Error(err)
	}
}

// sharedLockHeld asks the kernel for the locks of this process, as another one would see them.
func sharedLockHeld(t *testing.T, path string) bool {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile("/proc/locks")
	if err != nil {
		t.Skip("there is no /proc/locks")
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) > 6 && f[1] == "POSIX" && strings.HasSuffix(f[5], ":"+strconv.FormatUint(st.Ino, 10)) && f[6] == "1073741826" {
			return true
		}
	}
	return false
}

func TestTwoDevices(t *testing.T) {
	targets(t, func(t *testing.T, yml string) {
		a, b := newDevice(t, yml), newDevice(t, yml)
		a.start(Options{})
		a.insert("of a")
		a.sync()
		b.make(Options{})
		b.open()
		b.insert("of b")
		b.db.Close()
		b.start(Options{}) // it has a database of its own, so it starts
		b.insert("of b")
		until(t, "b fails", func() bool { return b.r.Status().State == Failing })
		if st := b.r.Status(); !strings.Contains(st.LastError, "--take-over") || st.Lease.Held || st.Lease.Owner != a.r.Status().Lease.Owner {
			t.Errorf("status of b: %+v", st)
		}
		b.stop()
		b.start(Options{TakeOver: true})
		b.sync()
		a.r.lease.mu.Lock()
		a.r.lease.until = time.Now() // half a minute later
		a.r.lease.mu.Unlock()
		a.insert("of a")
		until(t, "a fails", func() bool { return a.r.Status().State == Failing })
		if st := a.r.Status(); !strings.Contains(st.LastError, "has taken over") || !st.Lease.Lost {
			t.Errorf("status of a: %+v", st)
		}
		dst := filepath.Join(t.TempDir(), "copy.db")
		if _, err := b.r.Restore(t.Context(), Moment{}, dst); err != nil || rowsIn(t, dst) != "of b of b" {
			t.Errorf("the replica has %q: %v", rowsIn(t, dst), err)
		}
	})
}

func TestSecondReplicatorIsRefused(t *testing.T) {
	d := newDevice(t, fileYML(t.TempDir()))
	d.start(Options{})
	other := &device{t: t, dir: d.dir, yml: d.yml}
	other.make(Options{WatchWAL: true})
	if err := other.r.Hold(); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v", err)
	}
}

// Staged files that are lost or damaged cost a snapshot, not the replica.
func TestDamagedStaging(t *testing.T) {
	targets(t, func(t *testing.T, yml string) {
		d := newDevice(t, yml)
		d.start(Options{})
		for _, v := range []string{"a", "b", "c"} {
			d.insert(v)
			d.sync()
		}
		staged, _ := filepath.Glob(filepath.Join(d.dir, ".picloud.db-litestream", "ltx", "0", "*.ltx"))
		if len(staged) == 0 {
			t.Fatal("nothing is staged")
		}
		for _, f := range staged {
			if err := os.Truncate(f, 10); err != nil {
				t.Fatal(err)
			}
		}
		d.insert("d")
		until(t, "the replica has d", func() bool {
			return d.r.Sync(t.Context()) == nil && d.r.Status().TargetTXID == d.r.Status().TXID
		})
		dst := filepath.Join(t.TempDir(), "copy.db")
		if _, err := d.r.Restore(t.Context(), Moment{}, dst); err != nil || rowsIn(t, dst) != "a b c d" {
			t.Errorf("the replica has %q: %v", rowsIn(t, dst), err)
		}
	})
}

// What is staged grows while the disk is full, until it fails; then it goes on by itself.
func TestFullDisk(t *testing.T) {
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=256k"); err != nil {
		t.Skipf("a small disk needs root: %v", err)
	}
	t.Cleanup(func() { _ = unix.Unmount(small, unix.MNT_DETACH) })
	yml := strings.Replace(fileYML(filepath.Join(t.TempDir(), "copy")), "    replica:", "    meta-path: "+small+"/staged\n    replica:", 1)
	d := newDevice(t, yml)
	d.start(Options{})
	d.insert("a")
	d.sync()
	if err := os.WriteFile(small+"/full", make([]byte, 200<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	d.exec("CREATE TABLE big(b BLOB)")
	d.exec("INSERT INTO big VALUES(randomblob(400000))")
	until(t, "the status fails", func() bool { return d.r.Status().State == Failing })
	if st := d.r.Status(); !strings.Contains(st.LastError, "disk is full") || d.r.health.errs.Load() == 0 {
		t.Errorf("status: %+v", st)
	}
	d.exec("DELETE FROM big")
	d.insert("b") // it serves
	if err := unix.Mount("", small, "tmpfs", unix.MS_REMOUNT, "size=8m"); err != nil {
		t.Fatal(err)
	}
	until(t, "it goes on", func() bool { return d.r.Status().State == OK && d.r.Lag() == 0 })
	dst := filepath.Join(t.TempDir(), "copy.db")
	if _, err := d.r.Restore(t.Context(), Moment{}, dst); err != nil || rowsIn(t, dst) != "a b" {
		t.Errorf("the replica has %q: %v", rowsIn(t, dst), err)
	}
}

// A stop is not held up for longer than it says by a target that never answers.
func TestStopWithASilentTarget(t *testing.T) {
	s := newS3(t)
	d := newDevice(t, "shutdown-sync-timeout: 500ms\n"+s.yml("pi"))
	d.impatient = time.Second
	d.start(Options{})
	d.insert("a")
	d.sync()
	s.set("silent")
	d.insert("b")
	d.stop()
	n, err := openNotes(d.dir)
	if err != nil || n.behindSince().IsZero() {
		t.Errorf("a stop with changes that were not uploaded is not noted: %v", err)
	}
	s.set("")
	d.start(Options{})
	d.sync()
	dst := filepath.Join(t.TempDir(), "copy.db")
	if _, err := d.r.Restore(t.Context(), Moment{}, dst); err != nil || rowsIn(t, dst) != "a b" {
		t.Errorf("the replica has %q: %v", rowsIn(t, dst), err)
	}
}

// A client that can't be interrupted is left behind; a fresh one takes over.
func TestHungClient(t *testing.T) {
	d := newDevice(t, fileYML(t.TempDir()))
	r := d.make(Options{})
	r.guard.timeout = 10 * time.Millisecond
	before := r.guard.inner()
	hang := make(chan struct{})
	defer close(hang)
	err := r.guard.do(t.Context(), r.guard.timeout, func(context.Context, litestream.ReplicaClient) error { <-hang; return nil })
	if !errors.Is(err, errNoAnswer) || r.guard.hung.Load() != 1 {
		t.Errorf("got %v, %d hung", err, r.guard.hung.Load())
	}
	if r.guard.inner() == before {
		t.Error("the client is still the same")
	}
}

// An idle device asks nothing of its target and writes nothing to it.
func TestIdleCostsNothing(t *testing.T) {
	s := newS3(t)
	d := newDevice(t, s.yml("pi"))
	d.start(Options{})
	d.insert("a")
	d.sync()
	until(t, "the library's own loops have looked once", func() bool { return d.r.Lag() == 0 && d.r.store != nil && d.r.db.PageSize() > 0 })
	time.Sleep(2 * time.Second) // those of the first seconds
	puts, lists := s.puts.Load(), s.lists.Load()
	time.Sleep(2 * time.Second)
	if p, l := s.puts.Load()-puts, s.lists.Load()-lists; p != 0 || l != 0 {
		t.Errorf("at rest: %d PUTs and %d LISTs in two seconds", p, l)
	}
}

// The clock was ahead, and is corrected: what was stamped then must not stop compaction.
func TestClockThatWasAhead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "copy")
	d := newDevice(t, fileYML(dir))
	d.start(Options{})
	d.insert("a")
	d.sync()
	until(t, "there is a snapshot", func() bool { // the library may be making its first one at this moment
		_, err := d.r.db.Snapshot(t.Context())
		return err == nil
	})
	d.stop() // the next start reads the stamps
	future := time.Now().Add(30 * 24 * time.Hour)
	files, _ := filepath.Glob(filepath.Join(dir, "ltx", "9", "*.ltx"))
	for _, f := range files {
		if err := os.Chtimes(f, future, future); err != nil {
			t.Fatal(err)
		}
	}
	d.start(Options{})
	d.insert("b")
	until(t, "there is a snapshot of now", func() bool {
		d.sync()
		d.r.unstick(t.Context())
		info, err := d.r.db.MaxLTXFileInfo(t.Context(), 9)
		return err == nil && info.CreatedAt.Before(time.Now().Add(ahead))
	})
}
