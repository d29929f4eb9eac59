package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// faultDisk is a disk of scripts/faultfs.
type faultDisk struct {
	conn net.Conn
	in   *bufio.Reader
}

// failing mounts a disk that fails on demand on the directory of an instance.
func failing(t *testing.T) (d *faultDisk, mount func(dir string)) {
	d = &faultDisk{}
	return d, func(dir string) {
		t.Helper()
		if _, err := os.Stat("/dev/fuse"); err != nil || os.Getuid() != 0 {
			t.Skip("mounts a file system: root and /dev/fuse")
		}
		work := t.TempDir()
		exe, socket := filepath.Join(work, "faultfs"), filepath.Join(work, "control")
		build := exec.Command("go", "build", "-o", exe, ".")
		build.Dir = "scripts/faultfs"
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		backing := filepath.Join(work, "backing")
		if err := os.Mkdir(backing, 0o700); err != nil {
			t.Fatal(err)
		}
		cmd := exec.Command(exe, "-backing", backing, "-mount", dir, "-control", socket)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { cmd.Process.Signal(syscall.SIGTERM); cmd.Wait() })
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || !strings.Contains(line, "ready") {
			t.Fatalf("faultfs: %q %v", line, err)
		}
		if d.conn, err = net.Dial("unix", socket); err != nil {
			t.Fatal(err)
		}
		d.in = bufio.NewReader(d.conn)
		t.Cleanup(func() { d.conn.Close() })
	}
}

// do sends a command to the disk.
func (d *faultDisk) do(t *testing.T, command string) {
	t.Helper()
	if _, err := fmt.Fprintln(d.conn, command); err != nil {
		t.Fatal(err)
	}
	if line, err := d.in.ReadString('\n'); err != nil || !strings.HasPrefix(line, "ok") {
		t.Fatalf("%s: %s %v", command, line, err)
	}
}

// Whatever a disk answers to a change (an error of input and output, a file system that went
// read-only, no room), at whichever of the operations: callers are told, /readyz says it, reads
// go on, and when the disk works again so does the instance, with all that was acknowledged.
func TestDiskFails(t *testing.T) {
	disk, mount := failing(t)
	in, l, _ := loaded(t, mount, "PICLOUD_DISK_RESERVE_BYTES=0")
	for _, fault := range []struct{ spec, says string }{
		{"op=write error=EIO match=picloud.db*", "the disk fails"},
		{"op=fsync error=EIO match=picloud.db*", "the disk fails"},
		{"op=change error=EROFS", "the disk"},
		{"op=write half=true error=ENOSPC match=picloud.db*", "the disk is full"},
	} {
		disk.do(t, "fault "+fault.spec)
		for refused := 0; refused < 6; {
			refused += l.step(t)
		}
		in.until(t, "GET", "/readyz", "not ready: "+fault.says)
		disk.do(t, "clear")
		in.until(t, "GET", "/readyz", `"ready"`)
		l.recovers(t)
	}
	// Without its logs, it does everything else.
	disk.do(t, "fault op=change error=EIO match=logs.db*")
	for range 3 {
		if l.step(t) > 0 {
			t.Errorf("only logs.db fails, and something is refused: %v", l.seen)
		}
	}
	disk.do(t, "clear")
	every, most := 5, 20
	if long() {
		every, most = 1, 400
	}
	for n := 0; n < most; n += every { // one write alone fails
		disk.do(t, fmt.Sprintf("fault op=write error=ENOSPC after=%d count=1", n))
		l.step(t)
		disk.do(t, "clear")
	}
	l.recovers(t)
	l.check(t)
}

// On a disk that takes its time, who only reads doesn't wait for it.
func TestDiskIsSlow(t *testing.T) {
	disk, mount := failing(t)
	in, start := newFaulty(t, mount)
	start()
	l := newLoad(t, in)
	disk.do(t, "fault op=fsync delay=500ms")
	if l.step(t) > 0 {
		t.Errorf("something is refused: %v", l.seen)
	}
	disk.do(t, "clear")
	l.check(t)
}

// A disk answers errors to reads, which SQLite takes for damage: that is what callers and /readyz
// are told, and what to look at first. When it can be read again, it is, and a start says so.
// What is read is too long for the pages that other work may have brought into memory since
// the start.
func TestDiskFailsToRead(t *testing.T) {
	disk, mount := failing(t)
	in, l, start := loaded(t, mount, "PICLOUD_DISK_RESERVE_BYTES=0")
	long := strings.Repeat("x", 32<<10)
	in.deploy(t, "cold", "// "+long+"\nexport default () => kv.collection('cold').get('k').length;", "/cold", "sync")
	in.must(t, "PUT", "/api/v1/admin/apps/default/kv/cold/k", map[string]any{"value": long})
	in.halt(t)
	start("PICLOUD_DISK_RESERVE_BYTES=0")
	disk.do(t, "fault op=read error=EIO match=picloud.db*")
	for _, path := range []string{"/cold", "/api/v1/admin/apps/default/kv/cold/k", "/readyz"} {
		in.until(t, "GET", path, "or its disk can't be read .*picloud restore")
	}
	in.until(t, "GET", "/healthz", "ok")
	disk.do(t, "clear")
	l.recovers(t)
	in.halt(t)
	start("PICLOUD_DISK_RESERVE_BYTES=0") // it returns when /readyz answers
	l.check(t)
}
