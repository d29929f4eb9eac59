package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// AsideSuffix and a time follow the name of a database that another one replaced.
const AsideSuffix = ".before-restore-"

// replacing and a time follow the name of a database that is whole, on the disk, and about to
// be what that name says without them.
const replacing = ".restored-"

// Stamp is a time, to the second in UTC, for names in the directory dir: no name there contains
// it yet, for a number follows it where one does. A file that is set aside under a name with it
// replaces no other, even on a machine without a clock, which starts at the same time each day.
// It is one's own only while nothing else names files in dir.
func Stamp(dir string, now time.Time) (string, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	base := now.UTC().Format("20060102T150405")
	stamp := base
	for n := 2; slices.ContainsFunc(files, func(f fs.DirEntry) bool { return strings.Contains(f.Name(), stamp) }); n++ {
		stamp = fmt.Sprintf("%s-%d", base, n)
	}
	return stamp, nil
}

// ReplaceDatabase puts the SQLite database part, which is on the disk and has no write-ahead
// log, in the place of the one at path, which nothing has open. That one stays, with its
// log, under a name with the suffix that is returned, "" if there was none; stamp is that of
// Stamp. After a power cut at any moment there is the former database, or
// FinishReplaceDatabase has what it needs.
//
// A database with its log is more than one file, and a log beside a database that isn't its
// own destroys that. So the first rename decides, and what follows it can be done again.
func ReplaceDatabase(path, part, stamp string) (aside string, err error) {
	if err := os.Rename(part, path+replacing+stamp); err != nil {
		return "", err
	}
	if err := Sync(filepath.Dir(path)); err != nil {
		return "", err
	}
	return FinishReplaceDatabase(path)
}

// FinishReplaceDatabase ends what ReplaceDatabase began, if it was interrupted. It must be
// called before anything opens the database at path, by one process at a time.
func FinishReplaceDatabase(path string) (aside string, err error) {
	files, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	for _, f := range files {
		stamp, ok := strings.CutPrefix(f.Name(), filepath.Base(path)+replacing)
		if !ok {
			continue
		}
		for _, suffix := range []string{"-wal", "-shm", ""} {
			moved, err := rename(path+suffix, path+AsideSuffix+stamp+suffix)
			if err != nil {
				return "", err
			}
			if moved {
				aside = AsideSuffix + stamp
			}
		}
		if _, err := rename(path+replacing+stamp, path); err != nil {
			return "", err
		}
	}
	return aside, nil
}

// rename returns when the file's other name is on the disk. It does nothing if there is no
// such file.
func rename(from, to string) (done bool, err error) {
	if err := os.Rename(from, to); errors.Is(err, fs.ErrNotExist) {
		return false, nil
	} else if err != nil {
		return false, err
	}
	return true, Sync(filepath.Dir(to))
}
