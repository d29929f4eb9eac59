package app

import (
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"picloud/app/cloud"
)

// lowDisk is the free space under which GET /system warns, in bytes.
const lowDisk = 200 << 20

// disk knows how much room is left where the data directory is. When it runs out of it, what
// can be spared goes first: below twice the reserve execution logs aren't written any more,
// below the reserve no more async work is accepted. What is left is for finishing what was
// accepted, which deletes rows, and for operators to clean up.
type disk struct {
	dir     string
	reserve int64 // bytes; 0: none
	stat    func(dir string) (free, size int64, err error)

	mu    sync.Mutex // guards what follows
	asked time.Time
	free  int64
}

func newDisk(dir string, reserve int64) *disk {
	return &disk{dir: dir, reserve: reserve, stat: statDisk}
}

// diskFresh is how long an answer of the file system is believed: it is asked once in that
// time at most, and only when something is about to be stored.
const diskFresh = time.Second

// below reports whether less than n bytes are free. A file system that doesn't answer is not
// held against anybody.
func (d *disk) below(n int64) bool {
	if d.reserve == 0 {
		return false
	}
	now := time.Now()
	d.mu.Lock()
	defer d.mu.Unlock()
	if age := now.Sub(d.asked); age < 0 || age >= diskFresh {
		free, _, err := d.stat(d.dir)
		if err != nil {
			return false
		}
		d.free, d.asked = free, now
	}
	return d.free < n
}

// shedLogs reports that execution logs must leave the room that is left to others.
func (d *disk) shedLogs() bool { return d.below(2 * d.reserve) }

// accept says why no more async work may be stored.
func (d *disk) accept() error {
	if !d.below(d.reserve) {
		return nil
	}
	return cloud.Errorf(cloud.Overloaded, "the instance's disk is nearly full: it accepts no more work for later until its operator makes room (PICLOUD_DISK_RESERVE_BYTES)")
}

// warning is what GET /system says of the room that is left, "" for nothing.
func (d *disk) warning(free int64) string {
	switch {
	case d.reserve > 0 && free < d.reserve:
		return fmt.Sprintf("only %d MB are free on the disk of the data directory: async work is refused and execution logs are dropped until there is room", free>>20)
	case d.reserve > 0 && free < 2*d.reserve:
		return fmt.Sprintf("only %d MB are free on the disk of the data directory: execution logs are dropped until there is room", free>>20)
	case free < lowDisk:
		return fmt.Sprintf("only %d MB are free on the disk of the data directory: make room before writes fail", free>>20)
	}
	return ""
}

// statDisk asks the file system for the bytes that an ordinary process may still write, and
// for its size.
func statDisk(dir string) (free, size int64, err error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, 0, fmt.Errorf("ask for the free disk space: %w", err)
	}
	return int64(s.Bavail) * int64(s.Bsize), int64(s.Blocks) * int64(s.Bsize), nil
}
