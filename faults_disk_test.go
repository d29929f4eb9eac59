package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// tmpfs mounts a small file system on dir; only root may.
func tmpfs(t *testing.T, size string) func(dir string) {
	return func(dir string) {
		t.Helper()
		if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
			t.Skipf("mount a small file system (root may): %v", err)
		}
		t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	}
}

// leave fills the file system of dir until only n bytes are free.
func leave(t *testing.T, dir string, n int64) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "ballast"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for err := error(unix.ENOSPC); err == unix.ENOSPC; { // the instance may take some meanwhile
		var s unix.Statfs_t
		if err = unix.Ftruncate(int(f.Fd()), 0); err == nil {
			err = unix.Fstatfs(int(f.Fd()), &s)
		}
		if size := int64(s.Bavail)*s.Bsize - n; err == nil && size > 0 {
			err = unix.Fallocate(int(f.Fd()), 0, 0, size)
		}
		if err != nil && err != unix.ENOSPC {
			t.Fatal(err)
		}
	}
}

// Wherever the disk runs full, callers are told so, reads go on, and with room again the
// instance works without being asked: nothing acknowledged is lost, nothing half done.
func TestDiskRunsFull(t *testing.T) {
	points, size := []int64{0, 12, 100}, "64m" // KiB
	if long() {
		points, size = nil, "512m"
		for kib := int64(0); kib < 1000; kib += 4 {
			points = append(points, kib)
		}
	}
	in, l, _ := loaded(t, tmpfs(t, size), "PICLOUD_DISK_RESERVE_BYTES=0")
	for _, kib := range points {
		leave(t, in.dir, kib<<10)
		for refused := 0; refused < 8; {
			refused += l.step(t)
		}
		if err := os.Remove(filepath.Join(in.dir, "ballast")); err != nil {
			t.Fatal(err)
		}
		l.recovers(t)
	}
	l.check(t)
	t.Log(l.seen)
}

// As the disk fills up, what can be spared goes first: execution logs, then the acceptance of
// work for later, then what callers write; reads are last. The instance says each.
func TestDiskFillsUpInOrder(t *testing.T) {
	in, start := newFaulty(t, tmpfs(t, "256m"))
	start("PICLOUD_DISK_RESERVE_BYTES=33554432")
	l := newLoad(t, in)
	if l.step(t) > 0 {
		t.Fatalf("with room, something is refused: %v", l.seen)
	}
	for _, stage := range []struct {
		free              int64 // MiB
		logs, later, pair bool  // kept, accepted
		warning, ready    string
	}{
		{100, true, true, true, "", `"ready"`},
		{48, false, true, true, "execution logs are dropped", `"ready"`},
		{16, false, false, true, "async work is refused and execution logs are dropped", `"ready"`},
		{0, false, false, false, "async work is refused and execution logs are dropped", "not ready: the disk is full"},
		{100, true, true, true, "", `"ready"`},
	} {
		leave(t, in.dir, stage.free<<20)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		if err := retry(ctx, func() error { // the disk is asked once a second; a write-ahead log has room of its own at first
			before := in.newest(t)
			l.step(t)
			logs, later, pair := in.newest(t) != before, l.acked["later"][l.n], l.acked["pair"][l.n]
			if logs != stage.logs || later != stage.later || pair != stage.pair {
				return fmt.Errorf("%d MiB free: logs are kept: %v, async work is accepted: %v, a caller's write: %v, want %v, %v, %v",
					stage.free, logs, later, pair, stage.logs, stage.later, stage.pair)
			}
			_, _, ready, err := in.do(request{as: "nobody", method: "GET", path: "/readyz", header: http.Header{}})
			if !strings.Contains(string(ready), stage.ready) {
				return fmt.Errorf("%d MiB free: /readyz answers %s %v, want %s", stage.free, ready, err, stage.ready)
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
		cancel()
		in.until(t, "GET", "/api/v1/admin/system", `"warnings":\[[^\]]*`+stage.warning)
	}
	l.check(t)
}

// On a disk that is full from the start, the instance says so and starts when there is room.
// What a kill left behind is no obstacle.
func TestStartOnAFullDisk(t *testing.T) {
	in, start := newFaulty(t, tmpfs(t, "32m"))
	full := func(want string) {
		t.Helper()
		leave(t, in.dir, 0)
		if out := in.refusal(t); !strings.Contains(out, want) {
			t.Errorf("started on a full disk, it says %q, want %q", out, want)
		}
		if err := os.Remove(filepath.Join(in.dir, "ballast")); err != nil {
			t.Fatal(err)
		}
	}
	const want = "the disk is full: nothing was saved; free some space and try again"
	full(want)
	start("PICLOUD_DISK_RESERVE_BYTES=0")
	l := newLoad(t, in)
	l.step(t)
	in.halt(t)
	full(want)
	start("PICLOUD_DISK_RESERVE_BYTES=0")
	l.step(t)
	in.kill()
	leave(t, in.dir, 0)
	in.probe = "/healthz" // it isn't ready
	start("PICLOUD_DISK_RESERVE_BYTES=0")
	l.reads(t)
	if err := os.Remove(filepath.Join(in.dir, "ballast")); err != nil {
		t.Fatal(err)
	}
	l.recovers(t)
	l.check(t)
}

// On a file system that is read-only the start says so, and what to do.
func TestStartOnAReadOnlyDisk(t *testing.T) {
	in, l, start := loaded(t, tmpfs(t, "32m"))
	in.halt(t)
	for _, flags := range []uintptr{unix.MS_RDONLY, 0} {
		if err := unix.Mount("tmpfs", in.dir, "tmpfs", unix.MS_REMOUNT|flags, "size=32m"); err != nil {
			t.Fatal(err)
		}
		if flags == 0 {
			break
		}
		if out := in.refusal(t); !strings.Contains(out, "the disk is read-only") || !strings.Contains(out, "mount -o remount,rw") {
			t.Errorf("it says %q", out)
		}
	}
	start()
	l.check(t)
}
