package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"

	"picloud/scripts/faultfs/disk"
)

// diskDir, when set in the environment, makes the program the process that serves the disk:
// who uses a mount must be another.
const diskDir = "POWERCUT_DISK_DIR"

func serveDisk(dir string) error {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	d, err := disk.Mount(disk.Options{Backing: filepath.Join(dir, "backing"), Dir: filepath.Join(dir, "mount"), Record: filepath.Join(dir, "record")})
	if err != nil {
		return err
	}
	l, err := net.Listen("unix", filepath.Join(dir, "control"))
	if err != nil {
		return errors.Join(err, d.Unmount())
	}
	go d.Control(l)
	fmt.Println("ready")
	<-stop
	return errors.Join(l.Close(), d.Unmount())
}

// recorded is a disk whose every change is recorded, served by a process of its own.
type recorded struct {
	dir    string
	server *exec.Cmd

	mu     sync.Mutex // guards what follows
	client *disk.Client
	err    error // of the first mark that failed
}

// canMount says why no disk can be mounted here.
func canMount() error {
	if os.Getuid() != 0 {
		return errors.New("mounting a disk needs root")
	}
	if err := syscall.Access("/dev/fuse", 6); err != nil {
		return fmt.Errorf("mounting a disk needs /dev/fuse: %w", err)
	}
	return nil
}

// newRecorded mounts dir/backing, which is made when needed, at dir/mount.
func newRecorded(dir string) (*recorded, error) {
	for _, name := range []string{"backing", "mount"} {
		if err := os.MkdirAll(filepath.Join(dir, name), 0o700); err != nil {
			return nil, err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	r := &recorded{dir: dir, server: exec.Command(self)}
	r.server.Env = append(os.Environ(), diskDir+"="+dir)
	r.server.Stderr = os.Stderr
	out, err := r.server.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.server.Start(); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, errors.Join(errors.New("the disk did not start"), r.server.Wait())
	}
	r.client, err = disk.Dial(filepath.Join(dir, "control"))
	return r, err
}

func (r *recorded) mount() string { return filepath.Join(r.dir, "mount") }

// mark notes that something was acknowledged.
func (r *recorded) mark(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.client.Do("mark " + fmt.Sprintf(format, args...)); err != nil && r.err == nil {
		r.err = fmt.Errorf("mark: %w", err)
	}
}

// end unmounts the disk and returns its record.
func (r *recorded) end() ([]disk.Op, error) {
	err := errors.Join(r.err, r.client.Close(), r.server.Process.Signal(syscall.SIGTERM), r.server.Wait())
	if err != nil {
		return nil, err
	}
	return disk.Read(filepath.Join(r.dir, "record"))
}
