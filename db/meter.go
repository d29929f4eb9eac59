package db

import (
	"path/filepath"
	"sync/atomic"
)

// meter counts what SQLite writes to a database, whichever connection of the process does
// it: beneath SQLite, where it calls the operating system.
type meter struct{ file, wal *counter }

// counter is of one file. Both drivers keep its two numbers side by side.
type counter struct{ bytes, syncs atomic.Int64 }

// Written is what SQLite has written to a database since it was opened, by all connections
// of the process. Bytes are those of its write calls; the storage beneath takes whole blocks.
type Written struct {
	LogBytes, LogSyncs   int64 // the write-ahead log: commits; and one fsync of each checkpoint
	FileBytes, FileSyncs int64 // the file itself: checkpoints
}

// Written reads the counters.
func (d *DB) Written() Written { return d.meter.read().since(d.opened) }

func (m meter) read() Written {
	return Written{
		LogBytes: m.wal.bytes.Load(), LogSyncs: m.wal.syncs.Load(),
		FileBytes: m.file.bytes.Load(), FileSyncs: m.file.syncs.Load(),
	}
}

func (w Written) since(old Written) Written {
	return Written{
		LogBytes: w.LogBytes - old.LogBytes, LogSyncs: w.LogSyncs - old.LogSyncs,
		FileBytes: w.FileBytes - old.FileBytes, FileSyncs: w.FileSyncs - old.FileSyncs,
	}
}

// CommitSyncs is how many fsyncs of the log were for commits: a checkpoint syncs the log once and then the file.
func (w Written) CommitSyncs() int64 { return max(0, w.LogSyncs-w.FileSyncs) }

// walSuffix is what SQLite appends to a database's name for its write-ahead log.
const walSuffix = "-wal"

// realPath is the name by which SQLite opens the file at path.
func realPath(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	return path
}
