package db

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"picloud/durable"
)

// DirLock is the right to use a data directory, held by one process at a time. The kernel
// takes it back when the process ends, however it ends.
type DirLock struct{ file *os.File }

// holder is what the lock file tells the process that comes second.
type holder struct {
	PID   int       `json:"pid"`
	Since time.Time `json:"since"`
}

// Lock takes the lock of dir, which it creates when needed, or says who holds it.
func Lock(dir string) (*DirLock, error) {
	l, err := lock(dir)
	if err != nil {
		return nil, fmt.Errorf("use the data directory: %w", explain(dir, textDamaged, err))
	}
	return l, nil
}

func lock(dir string) (*DirLock, error) {
	if err := durable.MakeDir(dir); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(dir, "picloud.lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		err = fmt.Errorf("the data directory %s is in use by %s: stop that process first, or choose another directory", dir, readHolder(f))
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	_ = writeHolder(f) // the lock holds without it, also on a disk that is full
	return &DirLock{f}, nil
}

// Close gives the directory free. The file stays: removing it would let two processes hold
// locks on two files of one name.
func (l *DirLock) Close() error { return errors.Join(l.file.Truncate(0), l.file.Close()) }

func writeHolder(f *os.File) error {
	text, err := json.Marshal(holder{os.Getpid(), time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(text, '\n'), 0)
	return err
}

func readHolder(f io.Reader) string {
	var h holder
	if err := json.NewDecoder(f).Decode(&h); err != nil {
		return "another process"
	}
	return fmt.Sprintf("process %d since %s", h.PID, h.Since.Format(time.RFC3339))
}
