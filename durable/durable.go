// Package durable makes files and directories that a power cut doesn't take away: in POSIX, a
// file's content is on the disk after an fsync of the file, and its name after one of its
// directory.
package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// MakeDir makes a directory, readable by its owner only, and its parents, when it isn't there,
// and waits until its name is on the disk: what is fsynced inside is of no use in a directory
// that a power cut takes away.
func MakeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	parent := filepath.Dir(dir)
	if err := MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return Sync(parent)
}

// unfinished ends the names of files that Replace has not finished.
const unfinished = ".replacing"

// Replace makes b the content of a small file that its owner alone may read. After a power
// cut at any moment there is the former file or the whole of the other one, and beside it,
// perhaps, one that Sweep removes.
func Replace(path string, b []byte) error {
	dir, name := filepath.Split(path)
	f, err := os.CreateTemp(dir, name+".*"+unfinished) // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return Sync(filepath.Dir(path))
}

// Sweep removes what interrupted calls of Replace left in a directory, if there is one. No
// call may be under way there.
func Sweep(dir string) error {
	files, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, f := range files {
		if strings.HasSuffix(f.Name(), unfinished) {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	return err
}

// Sync waits until a file, or a directory's list of names, is on the disk.
func Sync(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
