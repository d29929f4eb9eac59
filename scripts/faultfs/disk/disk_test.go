package disk_test

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"picloud/scripts/faultfs/disk"
)

// What the environment makes of the test binary: the process that serves the disk, because
// who uses a mount must be another; or one that tries a lock.
const (
	serveDir = "FAULTFS_TEST_DIR"
	lockFile = "FAULTFS_TEST_LOCK"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(serveDir); dir != "" {
		serve(dir)
		return
	}
	if name := os.Getenv(lockFile); name != "" {
		tryLock(name)
		return
	}
	os.Exit(m.Run())
}

func serve(dir string) {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	d, err := disk.Mount(disk.Options{Backing: filepath.Join(dir, "backing"), Dir: filepath.Join(dir, "mount"), Record: filepath.Join(dir, "record")})
	if err != nil {
		os.Stdout.WriteString(err.Error())
		os.Exit(1)
	}
	l, err := net.Listen("unix", filepath.Join(dir, "control"))
	if err != nil {
		panic(err)
	}
	go d.Control(l)
	os.Stdout.WriteString("ready\n")
	<-stop
	if err := d.Unmount(); err != nil {
		panic(err)
	}
}

// mounted is a disk in use by a test.
type mounted struct {
	*disk.Client
	dir    string // the mount
	record string
	server *exec.Cmd
}

func mount(t *testing.T) *mounted {
	t.Helper()
	if err := syscall.Access("/dev/fuse", 2); err != nil || os.Getuid() != 0 {
		t.Skip("mounting a disk needs root and /dev/fuse")
	}
	dir := t.TempDir()
	for _, name := range []string{"backing", "mount"} {
		if err := os.Mkdir(filepath.Join(dir, name), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "backing", "old"), []byte("was here"), 0o600); err != nil {
		t.Fatal(err)
	}
	m := &mounted{dir: filepath.Join(dir, "mount"), record: filepath.Join(dir, "record"), server: exec.Command(os.Args[0])}
	m.server.Env = append(os.Environ(), serveDir+"="+dir)
	m.server.Stderr = os.Stderr
	out, err := m.server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := m.server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.end)
	line := make([]byte, 200)
	if n, _ := out.Read(line); string(line[:n]) != "ready\n" {
		t.Fatalf("the disk is not ready: %q", line[:n])
	}
	if m.Client, err = disk.Dial(filepath.Join(dir, "control")); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *mounted) end() {
	m.server.Process.Signal(syscall.SIGTERM)
	m.server.Wait()
}

func (m *mounted) do(t *testing.T, command string) string {
	t.Helper()
	answer, err := m.Do(command)
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return answer
}

func write(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

func TestFaults(t *testing.T) {
	m := mount(t)
	file := func(name string) string { return filepath.Join(m.dir, name) }
	check := func(what string, got, want error) {
		t.Helper()
		if !errors.Is(got, want) {
			t.Errorf("%s: got %v, want %v", what, got, want)
		}
	}
	read := func(name string) error { _, err := os.ReadFile(file(name)); return err }

	n := m.do(t, "fault op=write error=ENOSPC match=full* after=1 count=2")
	check("another file", write(file("other"), "x"), nil)
	for i, want := range []error{nil, syscall.ENOSPC, syscall.ENOSPC, nil} {
		check("write "+string(rune('1'+i)), write(file("full"), "x"), want)
	}
	if got := m.do(t, "stats"); !strings.Contains(got, "write=5/2") {
		t.Errorf("stats: got %s, want write=5/2", got)
	}
	m.do(t, "clear "+n)

	m.do(t, "fault op=read error=EIO match=other")
	check("read", read("other"), syscall.EIO)
	check("read another file", read("old"), nil)
	m.do(t, "clear")
	check("read after the fault", read("other"), nil)

	m.do(t, "fault op=change error=EROFS")
	check("create", write(file("new"), "x"), syscall.EROFS)
	check("mkdir", os.Mkdir(file("dir"), 0o700), syscall.EROFS)
	check("remove", os.Remove(file("other")), syscall.EROFS)
	check("rename", os.Rename(file("other"), file("another")), syscall.EROFS)
	check("truncate", os.Truncate(file("other"), 0), syscall.EROFS)
	check("read", read("other"), nil)
	m.do(t, "clear")

	m.do(t, "fault op=write error=ENOSPC half=true match=half after=0")
	f, err := os.Create(file("half"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n, err := syscall.Pwrite(int(f.Fd()), []byte("abcd"), 0); n != 2 || err != nil {
		t.Errorf("half a write: got %d, %v, want 2", n, err)
	}

	m.do(t, "fault op=fsync delay=30ms match=half")
	start := time.Now()
	check("fsync", f.Sync(), nil)
	if took := time.Since(start); took < 30*time.Millisecond {
		t.Errorf("a slow fsync took %v", took)
	}
	if _, err := m.Do("fault op=fly error=EIO"); err == nil {
		t.Error("a fault of an unknown operation was accepted")
	}
}

func TestRecord(t *testing.T) {
	m := mount(t)
	file := func(name string) string { return filepath.Join(m.dir, name) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.Mkdir(file("dir"), 0o700))
	f, err := os.Create(file("dir/part"))
	must(err)
	_, err = f.WriteAt([]byte("hello"), 3)
	must(err)
	must(f.Truncate(6))
	must(f.Sync())
	must(f.Close())
	must(os.Rename(file("dir/part"), file("whole")))
	d, err := os.Open(m.dir)
	must(err)
	must(d.Sync())
	must(d.Close())
	m.do(t, "mark it is there")
	must(write(file("x.db-shm"), "not recorded"))
	must(os.Remove(file("whole")))
	m.end()

	got, err := disk.Read(m.record)
	must(err)
	want := []disk.Op{
		{Kind: disk.Create, File: 2, Dir: 1, Name: "old"},
		{Kind: disk.Write, File: 2, Data: []byte("was here")},
		{Kind: disk.Fsync, File: 2},
		{Kind: disk.FsyncDir, File: 1},
		{Kind: disk.Mark, Name: disk.Mounted},
		{Kind: disk.Mkdir, File: 3, Dir: 1, Name: "dir"},
		{Kind: disk.Create, File: 4, Dir: 3, Name: "part"},
		{Kind: disk.Write, File: 4, Off: 3, Data: []byte("hello")},
		{Kind: disk.Truncate, File: 4, Off: 6},
		{Kind: disk.Fsync, File: 4},
		{Kind: disk.Rename, Dir: 3, Name: "part", NewDir: 1, NewName: "whole"},
		{Kind: disk.FsyncDir, File: 1},
		{Kind: disk.Mark, Name: "it is there"},
		{Kind: disk.Unlink, Dir: 1, Name: "whole"},
	}
	same := func(a, b disk.Op) bool {
		data := bytes.Equal(a.Data, b.Data)
		a.Data, b.Data = nil, nil
		return data && a.Kind == b.Kind && a.File == b.File && a.Dir == b.Dir && a.Name == b.Name && a.NewDir == b.NewDir && a.NewName == b.NewName && a.Off == b.Off
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("record:\n got %+v\nwant %+v", got, want)
	}
}

// A lock that one process holds is one that another doesn't get.
func TestLocksHoldBetweenProcesses(t *testing.T) {
	m := mount(t)
	f, err := os.Create(filepath.Join(m.dir, "locked"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	other := func() string {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), lockFile+"="+f.Name())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	if got := other(); got != "taken" {
		t.Errorf("a free lock: another process says %q", got)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Len: 1}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); err != nil {
		t.Fatal(err)
	}
	if got := other(); got != "refused" {
		t.Errorf("a lock that is held: another process says %q", got)
	}
}

// tryLock says whether this process gets the lock of a file.
func tryLock(name string) {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		panic(err)
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Len: 1}
	switch err := syscall.FcntlFlock(f.Fd(), syscall.F_SETLK, &lock); {
	case err == nil:
		os.Stdout.WriteString("taken")
	case errors.Is(err, syscall.EAGAIN):
		os.Stdout.WriteString("refused")
	default:
		panic(err)
	}
}
