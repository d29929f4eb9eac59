package db_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"picloud/db"
)

// crashDir, when set in the environment, makes the test binary the process that crashes.
const (
	crashDir   = "PICLOUD_TEST_CRASH_DIR"
	crashLevel = "PICLOUD_TEST_CRASH_DURABILITY"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		if err := writeUntilKilled(dir, db.Durability(os.Getenv(crashLevel))); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func quiet(o *db.Options) { o.Logger = slog.New(slog.DiscardHandler) }

// writeUntilKilled writes from many goroutines and prints the name of each row as soon as
// it is acknowledged.
func writeUntilKilled(dir string, level db.Durability) error {
	if _, err := db.Lock(dir); err != nil {
		return err
	}
	o := db.Options{Durability: level, AutoCheckpoint: 20} // crashes during checkpoints, too
	items(&o)
	d, err := db.Open(context.Background(), filepath.Join(dir, "crash.db"), o)
	if err != nil {
		return err
	}
	// Each row is printed by one write, so that a kill doesn't tear a name.
	failed := make(chan error)
	for c := range 16 {
		go func() {
			for i := 0; ; i++ {
				name := fmt.Sprintf("%d-%d-%d", os.Getpid(), c, i)
				if err := d.Update(context.Background(), insert(name)); err != nil {
					failed <- err
					return
				}
				fmt.Println(name)
			}
		}()
	}
	return <-failed
}

// Promise 4: after kill -9 nothing that was acknowledged is lost, whatever the durability,
// and the lock of the dead process holds nobody up.
func TestKill(t *testing.T) {
	t.Parallel()
	for _, level := range []db.Durability{db.Relaxed, db.Full} {
		t.Run(string(level), func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			var acknowledged []string
			for round := range 3 {
				acknowledged = append(acknowledged, killAfter(t, dir, level, 300*(round+1))...)
			}
			lock, err := db.Lock(dir)
			if err != nil {
				t.Fatal(err)
			}
			defer lock.Close()
			o := db.Options{}
			items(&o)
			d, err := db.Open(t.Context(), filepath.Join(dir, "crash.db"), o)
			if err != nil {
				t.Fatal(err)
			}
			defer d.Close()
			there := map[string]bool{}
			for _, name := range names(t, d) {
				there[name] = true
			}
			for _, name := range acknowledged {
				if !there[name] {
					t.Errorf("%s was acknowledged and is lost", name)
				}
			}
			if err := d.IntegrityCheck(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// killAfter runs a writing process, kills it after n acknowledgements and returns all that
// it gave.
func killAfter(t *testing.T, dir string, level db.Durability, n int) (acknowledged []string) {
	t.Helper()
	child := exec.Command(os.Args[0])
	child.Env = append(os.Environ(), crashDir+"="+dir, crashLevel+"="+string(level))
	child.Stderr = os.Stderr
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { child.Process.Kill() })
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		acknowledged = append(acknowledged, lines.Text())
		if len(acknowledged) == n {
			if _, err := db.Lock(dir); err == nil || !strings.Contains(err.Error(), fmt.Sprint("process ", child.Process.Pid)) {
				t.Errorf("got %v, want an error that names process %d", err, child.Process.Pid)
			}
			child.Process.Kill()
		}
	}
	child.Wait()
	if len(acknowledged) < n {
		t.Fatalf("the process ended after %d rows", len(acknowledged))
	}
	return acknowledged
}

func TestLock(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	start := time.Now().UTC().Truncate(time.Second)
	first, err := db.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Lock(dir)
	if err == nil {
		t.Fatal("locked twice")
	}
	for _, part := range []string{dir, fmt.Sprint("process ", os.Getpid()), start.Format("2006-01-02T")} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q doesn't contain %q", err, part)
		}
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := db.Lock(dir)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// A holder that has not written its name yet, or whose lock file was spoilt.
func TestLockOfUnknown(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	lock, err := db.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	if err := os.WriteFile(filepath.Join(dir, "picloud.lock"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Lock(dir); err == nil || !strings.Contains(err.Error(), "another process") {
		t.Errorf("got %v, want that another process holds it", err)
	}
}

// Somebody else who keeps the file locked delays the writer and is then called busy.
func TestBusy(t *testing.T) {
	t.Parallel()
	o := db.Options{}
	items(&o)
	path := filepath.Join(t.TempDir(), "x.db")
	var open [2]*db.DB
	for i := range open {
		d, err := db.Open(t.Context(), path, o)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		open[i] = d
	}
	impatient, other := open[0], open[1]
	err := impatient.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		var ms int
		return tx.QueryRow("PRAGMA busy_timeout=1").Scan(&ms)
	})
	if err != nil {
		t.Fatal(err)
	}
	err = other.Update(t.Context(), func(context.Context, *db.Tx) error {
		if err := impatient.Update(t.Context(), insert("late")); !db.IsBusy(err) {
			t.Errorf("got %v, want busy", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := impatient.Update(t.Context(), insert("a")); err != nil {
		t.Error(err)
	}
	want(t, names(t, other), "a")
}
