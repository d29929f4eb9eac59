package disk

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// Kind says what an Op did.
type Kind string

// The kinds of operations in a record.
const (
	Create   Kind = "create"    // Name in Dir is File from now on: a file, empty unless File is known
	Mkdir    Kind = "mkdir"     // Name in Dir is the directory File from now on
	Rename   Kind = "rename"    // Name in Dir becomes NewName in NewDir, which it replaces
	Unlink   Kind = "unlink"    // Name in Dir is gone; a directory, too
	Write    Kind = "write"     // Data at Off of File
	Truncate Kind = "truncate"  // File has Off bytes
	Fsync    Kind = "fsync"     // content and size of File are on the disk; fdatasync, too
	FsyncDir Kind = "fsync-dir" // the names in the directory File are on the disk
	Mark     Kind = "mark"      // Name is what the client said
)

// Mounted is the first mark: what is before it was in the folder.
const Mounted = "mounted"

// ID is a file or directory for as long as the record goes; names change, and so may inode
// numbers of the backing folder mean another file later.
type ID uint64

// Root is the mounted directory.
const Root ID = 1

// Op is one operation in a record.
type Op struct {
	Kind    Kind
	File    ID
	Dir     ID
	Name    string
	NewDir  ID
	NewName string
	Off     int64
	Data    []byte
}

// recorder writes operations to a file. Whoever uses it holds the disk's lock.
type recorder struct {
	out  *os.File // nil: nothing is recorded
	buf  *bufio.Writer
	enc  *gob.Encoder
	ids  map[uint64]ID // by inode number of the backing folder, while the file has a name
	last ID
	err  error // the first one
}

func newRecorder(file, backing string) (*recorder, error) {
	r := &recorder{ids: map[uint64]ID{}, last: Root}
	var st syscall.Stat_t
	if err := syscall.Stat(backing, &st); err != nil {
		return nil, fmt.Errorf("look at the backing folder: %w", err)
	}
	r.ids[st.Ino] = Root
	if file == "" {
		return r, nil
	}
	var err error
	if r.out, err = os.Create(file); err != nil {
		return nil, err
	}
	r.buf = bufio.NewWriterSize(r.out, 1<<20)
	r.enc = gob.NewEncoder(r.buf)
	if err := r.before(backing); err != nil {
		return nil, err
	}
	r.add(Op{Kind: Mark, Name: Mounted})
	return r, r.err
}

// before records what is in the folder already, as synced.
func (r *recorder) before(backing string) error {
	return filepath.WalkDir(backing, func(name string, e fs.DirEntry, err error) error {
		if err != nil || name == backing {
			return err
		}
		var st, parent syscall.Stat_t
		if err := errors.Join(syscall.Lstat(name, &st), syscall.Lstat(filepath.Dir(name), &parent)); err != nil {
			return err
		}
		id, dir := r.id(st.Ino), r.id(parent.Ino)
		if e.IsDir() {
			r.add(Op{Kind: Mkdir, File: id, Dir: dir, Name: e.Name()})
		} else {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			r.add(Op{Kind: Create, File: id, Dir: dir, Name: e.Name()})
			r.add(Op{Kind: Write, File: id, Data: data})
			r.add(Op{Kind: Fsync, File: id})
		}
		r.add(Op{Kind: FsyncDir, File: dir})
		return r.err
	})
}

// id is the ID of the file with an inode number.
func (r *recorder) id(ino uint64) ID {
	id, ok := r.ids[ino]
	if !ok {
		r.last++
		id = r.last
		r.ids[ino] = id
	}
	return id
}

// forget makes the inode number free for another file.
func (r *recorder) forget(ino uint64) { delete(r.ids, ino) }

func (r *recorder) add(op Op) {
	if r.out == nil || r.err != nil {
		return
	}
	r.err = r.enc.Encode(&op)
}

func (r *recorder) flush() error {
	if r.out == nil || r.err != nil {
		return r.err
	}
	r.err = r.buf.Flush()
	return r.err
}

func (r *recorder) close() error {
	if r.out == nil {
		return nil
	}
	return errors.Join(r.flush(), r.out.Close())
}

// Read returns the operations of a record. One that was cut off at its end is read as far as
// it goes.
func Read(file string) ([]Op, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var ops []Op
	for dec := gob.NewDecoder(bufio.NewReaderSize(f, 1<<20)); ; {
		var op Op
		err := dec.Decode(&op)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ops, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the record: %w", err)
		}
		ops = append(ops, op)
	}
}
