package db

import (
	"errors"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Fault is a failure of what lies under the database: the disk, its file system, the file
// itself. Nothing of what was asked for is in the file.
type Fault struct {
	text   string
	lasts  bool
	damage bool
	err    error
}

func (f *Fault) Error() string { return f.text + ": " + f.err.Error() }

func (f *Fault) Unwrap() error { return f.err }

// Trouble says in words for people what is wrong and what to do, and whether trying again
// later can't help.
func (f *Fault) Trouble() (text string, lasts bool) { return f.text, f.lasts }

// What is wrong, and what to do about it.
const (
	textFull     = "the disk is full: nothing was saved; free some space and try again"
	textReadOnly = "the disk is read-only: nothing was saved; look for disk errors in the machine's kernel log, then make it writable again (mount -o remount,rw)"
	textIO       = "the disk fails (input/output error): nothing was saved; look at the machine's kernel log and its cable, power and card, and have a copy of the data elsewhere"
	textOpen     = "the database file can't be opened: the instance may be out of file descriptors (raise its limit), or its data directory is gone; try again in a moment"
	textLocked   = "another program keeps the database locked: nothing was saved; end that program, and try again"
	textDamaged  = "the database is damaged, or its disk can't be read (look at the machine's kernel log): start the instance anew, and if that doesn't help, stop it and run picloud restore"
)

// explain makes a Fault of err, if it is one of the disk's. dir is where the file lies, damaged
// says what to do when it is damaged.
func explain(dir, damaged string, err error) error {
	if f := (*Fault)(nil); err == nil || errors.As(err, &f) {
		return err
	}
	f := Fault{err: err}
	switch code := errorCode(err) & 0xff; {
	case code == codeCorrupt, code == codeNotADB: // also when the disk answers EIO to a read: SQLite doesn't tell
		f.text, f.lasts, f.damage = damaged, true, true
	case code == codeFull, errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		f.text = textFull
	case code == codeReadOnly, errors.Is(err, syscall.EROFS):
		f.text = textReadOnly
	case code == codeIO, errors.Is(err, syscall.EIO):
		f.text = ioText(dir)
	case code == codeOpen, errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		f.text = openText(dir)
	case code == codeBusy:
		f.text = textLocked
	default:
		return err
	}
	return &f
}

// ioText tells errors of input and output apart that SQLite doesn't: on a full disk it can't
// make its shared memory, on a read-only one any write fails.
func ioText(dir string) string {
	var s unix.Statfs_t
	switch {
	case errors.Is(unix.Access(dir, unix.W_OK), unix.EROFS):
		return textReadOnly
	case unix.Statfs(dir, &s) == nil && s.Bavail == 0:
		return textFull
	}
	return textIO
}

// openText is the same for files that can't be opened, or made.
func openText(dir string) string {
	if text := ioText(dir); text != textIO {
		return text
	}
	return textOpen
}

// faults remembers what the disk did.
type faults struct {
	mu     sync.Mutex // guards what follows
	damage *Fault     // since the file was opened
	write  *Fault     // of the last commit; nil: it succeeded
	fsync  bool       // that commit had one
	said   time.Time  // when write was last logged
	loud   bool       // it was, and its end will be
	read   *Fault     // of the last read that failed
	readAt time.Time
}

// readFresh is how long a read that failed counts: the next may succeed elsewhere on a disk
// that is going.
const readFresh = time.Minute

// Fault is what keeps the file from being written, or kept it from being read within the
// last minute; nil when nothing does. A file that is damaged stays so until it is opened
// again.
func (d *DB) Fault() error {
	f := &d.faults
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.damage != nil:
		return f.damage
	case f.write != nil:
		return f.write
	case f.read != nil && time.Since(f.readAt) < readFresh:
		return f.read
	}
	return nil
}

// Damaged reports that a transaction came upon a damaged page since the file was opened. Such
// a file must be restored: what can still be written to it may make it worse.
func (d *DB) Damaged() bool {
	d.faults.mu.Lock()
	defer d.faults.mu.Unlock()
	return d.faults.damage != nil
}

// wrote notes how a closure ended, on the writer's goroutine: what begins and what is over is
// logged, once.
func (d *DB) wrote(err error) {
	var f *Fault
	if err != nil && !errors.As(d.noted(err), &f) {
		return // its own failure
	}
	begins, ends := d.faults.wrote(f, d.writer.fsync)
	switch {
	case ends:
		d.o.Logger.Info("the database can be written again", "file", filepath.Base(d.path))
	case begins && !f.damage:
		d.o.Logger.Error("the database can't be written; each change tries anew", "file", filepath.Base(d.path), "why", f.text, "err", f.err)
	}
}

// quiet is how long the same trouble isn't logged again: on a disk that is nearly full, small
// changes succeed between large ones that don't.
const quiet = time.Minute

// wrote takes in how a commit ended, and says what of it to log. That one without an fsync
// succeeded says nothing of one that failed with it.
func (fs *faults) wrote(f *Fault, fsync bool) (begins, ends bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	was := fs.write
	if f == nil && was != nil && fs.fsync && !fsync {
		return false, false
	}
	fs.write, fs.fsync = f, fsync
	switch {
	case f == nil:
		ends, fs.loud = was != nil && fs.loud, false
	case !fs.loud && time.Since(fs.said) >= quiet, was != nil && was.text != f.text:
		begins, fs.loud, fs.said = true, true, time.Now()
	}
	return begins, ends
}

// notedRead is noted for what only read.
func (d *DB) notedRead(err error) error {
	var f *Fault
	if err = d.noted(err); !errors.As(err, &f) || f.damage {
		return err
	}
	d.faults.mu.Lock()
	fresh := d.faults.read != nil && time.Since(d.faults.readAt) < readFresh
	d.faults.read, d.faults.readAt = f, time.Now()
	d.faults.mu.Unlock()
	if !fresh {
		d.o.Logger.Error("the database can't be read", "file", filepath.Base(d.path), "why", f.text, "err", f.err)
	}
	return err
}

// noted explains err. It remembers damage, and says so once.
func (d *DB) noted(err error) error {
	err = explain(filepath.Dir(d.path), d.o.Damaged, err)
	var f *Fault
	if !errors.As(err, &f) || !f.damage {
		return err
	}
	d.faults.mu.Lock()
	known := d.faults.damage != nil
	d.faults.damage = f
	d.faults.mu.Unlock()
	if !known {
		d.o.Logger.Error("the database is damaged", "file", filepath.Base(d.path), "why", f.text, "err", f.err)
	}
	return err
}
