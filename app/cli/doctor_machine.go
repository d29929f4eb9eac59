package cli

import (
	"bufio"
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// machine is where the checks look; tests make one up.
type machine struct {
	root            string // of /sys, /proc and /run
	dataDir, listen string
	now             time.Time
	uid             int
	statfs          func(path string) (volume, error)
	synced          func() (synced, known bool) // what the kernel says of its clock
}

// volume is the file system that a path is on.
type volume struct {
	free, size int64 // bytes; free for this user
	freeFiles  uint64
	files      uint64 // 0: it has no bound
	readOnly   bool
}

// read is the content of a file below the root, without white space around it.
func (m *machine) read(name string) (string, bool) {
	b, err := os.ReadFile(filepath.Join(m.root, name))
	return strings.TrimSpace(string(b)), err == nil
}

func (m *machine) exists(name string) bool {
	_, err := os.Stat(filepath.Join(m.root, name))
	return err == nil
}

// builtAfter is a time that a sound clock is past.
var builtAfter = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

const setClock = "connect to a network with NTP, or set it: timedatectl set-ntp true, or date -s; schedules wait until it is right"

func checkClock(m *machine) []finding {
	const name = "clock"
	if m.now.Before(builtAfter) {
		return []finding{fail(name, setClock, "it shows %s, which is in the past", m.now.Format(time.DateTime))}
	}
	if info, err := os.Stat(filepath.Join(m.dataDir, "picloud.db")); err == nil && info.ModTime().After(m.now.Add(time.Minute)) {
		return []finding{fail(name, setClock, "it shows %s, but the database was written at %s", m.now.Format(time.DateTime), info.ModTime().Format(time.DateTime))}
	}
	synced, known := m.exists("run/systemd/timesync/synchronized"), true
	if !synced {
		synced, known = m.synced()
	}
	switch {
	case known && !synced:
		return []finding{warn(name, setClock, "it is not synchronized")}
	case !m.exists("sys/class/rtc/rtc0"):
		return []finding{ok(name, "synchronized; without a battery it starts in the past after a power cut, until the network is there")}
	}
	return []finding{ok(name, "synchronized")}
}

// Bounds of free space.
const (
	leastFree      = 200 << 20 // bytes under which writes are about to fail
	leastFreeFiles = 1000
)

func checkDisk(m *machine) []finding {
	const name = "disk"
	v, err := m.statfs(existing(m.dataDir))
	switch {
	case err != nil:
		return []finding{fail(name, "see whether the disk is there", "the file system of %s can't be asked: %v", m.dataDir, err)}
	case v.readOnly:
		return []finding{fail(name, "look into dmesg for errors of the disk; a card that goes read-only is worn out: restore onto another one", "the file system of %s is read-only", m.dataDir)}
	case v.free < leastFree:
		return []finding{fail(name, "make room: old files, logs (PICLOUD_LOG_RETENTION_DAYS), packages", "%s of %s are free for %s", size(v.free), size(v.size), m.dataDir)}
	case v.files > 0 && v.freeFiles < leastFreeFiles:
		return []finding{fail(name, "delete small files: the file system has no room for more of them", "%d more files fit on the disk of %s", v.freeFiles, m.dataDir)}
	case v.free < v.size/10:
		return []finding{warn(name, "make room before it is full", "%s of %s are free for %s", size(v.free), size(v.size), m.dataDir)}
	}
	return []finding{ok(name, "%s of %s are free for %s", size(v.free), size(v.size), m.dataDir)}
}

// existing is the nearest directory of a path that is there.
func existing(path string) string {
	for {
		if _, err := os.Stat(path); err == nil || path == filepath.Dir(path) {
			return path
		}
		path = filepath.Dir(path)
	}
}

// unsound are file systems that SQLite's write-ahead log can't work on, or that lose writes.
var unsound = map[string]string{
	"nfs": "a network", "nfs4": "a network", "cifs": "a network", "smb3": "a network", "9p": "a network", "fuse.sshfs": "a network",
	"vfat": "a file system without permissions", "exfat": "a file system without permissions", "tmpfs": "memory: it is gone after a restart",
	"overlay": "a container's own layer: it is gone with the container",
}

func checkFileSystem(m *machine) []finding {
	const name = "file system"
	abs, err := filepath.Abs(m.dataDir)
	if err != nil {
		return nil
	}
	kind := m.fileSystemOf(abs)
	if why := unsound[kind]; why != "" {
		return []finding{warn(name, "put the data directory on a local disk with ext4 or the like", "%s is on %s (%s)", m.dataDir, why, kind)}
	}
	if kind == "" {
		return nil
	}
	return []finding{ok(name, "%s", kind)}
}

// fileSystemOf is the kind of the mount that a path is on, "" when the system doesn't tell.
func (m *machine) fileSystemOf(path string) (kind string) {
	f, err := os.Open(filepath.Join(m.root, "proc/mounts"))
	if err != nil {
		return ""
	}
	defer f.Close()
	longest := -1
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) < 3 {
			continue
		}
		at := strings.TrimSuffix(fields[1], "/")
		if (path == at || strings.HasPrefix(path, at+"/")) && len(at) >= longest {
			longest, kind = len(at), fields[2]
		}
	}
	return kind
}

const leastMemory = 64 << 10 // KiB

func checkMemory(m *machine) []finding {
	const name = "memory"
	text, _ := m.read("proc/meminfo")
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 || fields[0] != "MemAvailable:" {
			continue
		}
		n, err := strconv.ParseInt(fields[1], 10, 64)
		if err == nil && n < leastMemory {
			return []finding{warn(name, "stop what else runs, or lower PICLOUD_MAX_CONCURRENT_EXECUTIONS", "%s are available", size(n<<10))}
		}
		return []finding{ok(name, "%s are available", size(n<<10))}
	}
	return nil
}

// private are the files in the data directory that hold secrets or people's data.
var private = []string{"picloud.db", "picloud.db-wal", "picloud.db-shm", "logs.db", "picloud.toml", "litestream.yml", "master.key"}

func checkFiles(m *machine) []finding {
	const name = "permissions"
	info, err := os.Stat(m.dataDir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return []finding{ok(name, "%s is not there yet: the first start makes it", m.dataDir)}
	case err != nil:
		return []finding{fail(name, "run doctor as the user that runs the instance", "%s can't be read: %v", m.dataDir, err)}
	}
	var found []finding
	if info.Mode().Perm()&0o022 != 0 {
		found = append(found, fail(name, "chmod 700 "+m.dataDir, "others may write to %s (mode %o)", m.dataDir, info.Mode().Perm()))
	}
	for _, file := range private {
		path := filepath.Join(m.dataDir, file)
		info, err := os.Stat(path)
		if err != nil {
			continue
		}
		if info.Mode().Perm()&0o077 != 0 {
			found = append(found, fail(name, "chmod 600 "+path, "others may read %s (mode %o)", path, info.Mode().Perm()))
		}
		if s, ok := info.Sys().(*syscall.Stat_t); ok && m.uid != 0 && int(s.Uid) != m.uid {
			found = append(found, warn(name, "run as that user, or chown the files", "%s belongs to user %d, and this is user %d", path, s.Uid, m.uid))
		}
	}
	if len(found) == 0 {
		found = append(found, ok(name, "%s is private", m.dataDir))
	}
	return found
}

// portWait bounds how long whoever holds the port may take to say who it is.
const portWait = 3 * time.Second

func checkPort(m *machine) []finding {
	const name = "port"
	l, err := net.Listen("tcp", m.listen)
	switch {
	case err == nil:
		l.Close()
		return []finding{ok(name, "%s is free", m.listen)}
	case errors.Is(err, syscall.EADDRINUSE):
		if product := whoListens(m.listen); product != "" {
			return []finding{ok(name, "picloud %s listens on %s", product, m.listen)}
		}
		return []finding{fail(name, "stop the other program (ss -tlnp shows it), or choose another PICLOUD_LISTEN", "another program listens on %s", m.listen)}
	case errors.Is(err, syscall.EACCES):
		return []finding{warn(name, "use a port from 1024, or the systemd unit, which may use any", "this user may not listen on %s", m.listen)}
	}
	return []finding{fail(name, "see PICLOUD_LISTEN", "nobody can listen on %s: %v", m.listen, err)}
}

// whoListens is the version of the instance at an address, "" for anything else.
func whoListens(listen string) string {
	host, port, err := net.SplitHostPort(listen)
	if err != nil {
		return ""
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	ctx, cancel := context.WithTimeout(context.Background(), portWait)
	defer cancel()
	for _, scheme := range []string{"http://", "https://"} {
		if v := (&client{base: scheme + net.JoinHostPort(host, port)}).version(ctx); v != "" {
			return v
		}
	}
	return ""
}
