// Package db owns a SQLite file: one writer that commits in groups, a set of query-only
// readers, and the two transaction types everything else uses.
package db

import (
	"context"
	"database/sql"
	"io/fs"
	"time"
)

// Durability says when a commit counts.
type Durability string

const (
	Full    Durability = "full"    // fsynced before Update returns
	Relaxed Durability = "relaxed" // survives kill -9; a power cut may lose the last moments
)

// Options of Open. The zero value of each field but Schema works.
type Options struct {
	Schema     fs.FS             // migrations, *.sql anywhere below it, applied in order of their file names
	Durability Durability        // Full
	Readers    int               // most readers open at once; 0: 8
	Now        func() time.Time  // time.Now
	Observe    func(CommitStats) // told of every commit, on the writer's goroutine; must not block
}

// CommitStats is what one group commit was.
type CommitStats struct {
	Batch    int // closures in it
	Duration time.Duration
	Fsync    bool
}

// DB is an open database.
type DB struct{}

// Open opens the file at path, creating and migrating it when needed.
func Open(ctx context.Context, path string, o Options) (*DB, error) { panic("not written yet") }

// Close waits for what runs and closes the file.
func (d *DB) Close() error { panic("not written yet") }

// Rx is a read transaction: one consistent snapshot. Helpers that only read take an Rx.
type Rx struct {
	Now time.Time // fixed for the whole transaction, UTC
}

// Query and QueryRow prepare the statement once per connection; query must be a constant
// or one of few texts.
func (rx *Rx) Query(query string, args ...any) (*sql.Rows, error) { panic("not written yet") }
func (rx *Rx) QueryRow(query string, args ...any) *sql.Row        { panic("not written yet") }

// Tx is a closure's part of the write transaction. It embeds Rx, so read helpers work on it.
type Tx struct{ *Rx }

// Exec runs one statement that writes.
func (tx *Tx) Exec(query string, args ...any) (sql.Result, error) { panic("not written yet") }

// AfterCommit registers f to run once the closure's changes are committed, in order, on the
// writer's goroutine: f must not block, and must not call Update. Nothing runs on rollback.
func (tx *Tx) AfterCommit(f func()) { panic("not written yet") }

// Batch numbers the group commit that the closure is part of. Closures of one batch see
// each other's changes before those are committed.
func (tx *Tx) Batch() uint64 { panic("not written yet") }

// View runs f in a read transaction. A View or Update inside another is an error at once.
func (d *DB) View(ctx context.Context, f func(context.Context, *Rx) error) error {
	panic("not written yet")
}

// Update runs f in the next group commit and returns when that is durable. f may run more
// than once (when a commit of its batch fails), so it must be repeatable: it assigns its
// results, it doesn't append to them. An error of f undoes f alone.
func (d *DB) Update(ctx context.Context, f func(context.Context, *Tx) error) error {
	panic("not written yet")
}

// UpdateLazy is Update without the fsync, for changes whose loss at a power cut costs only
// work: claims, sweeps. It still rides in a durable batch when one is under way.
func (d *DB) UpdateLazy(ctx context.Context, f func(context.Context, *Tx) error) error {
	panic("not written yet")
}

// Snapshot is a read transaction that outlives the call; it pins a reader until Close.
type Snapshot struct{ *Rx }

// Snapshot begins one; it waits for a free reader until ctx ends.
func (d *DB) Snapshot(ctx context.Context) (*Snapshot, error) { panic("not written yet") }

// Close ends the snapshot; it may be called twice.
func (s *Snapshot) Close() error { panic("not written yet") }

// Kinds of failure that callers tell apart; each driver file knows its own codes.
func IsUnique(err error) bool     { panic("not written yet") } // unique index or primary key
func IsForeignKey(err error) bool { panic("not written yet") }
func IsFull(err error) bool       { panic("not written yet") } // disk full
func IsCorrupt(err error) bool    { panic("not written yet") }
