// Package db owns a SQLite file: one writer that commits in groups, a set of query-only
// readers, and the two transaction types everything else uses. DESIGN.md says why so.
package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
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
	Schema         fs.FS             // migrations, *.sql anywhere below it, applied in order of their file names
	Durability     Durability        // Full
	Readers        int               // most readers open at once; 0: 8
	CacheKiB       int               // page cache of the writer, 0: 16,000
	AutoCheckpoint int               // pages of WAL after which a commit tries to checkpoint; 0: 1000
	MaxPages       int               // most pages that the file may have, then IsFull; 0: no bound
	Now            func() time.Time  // time.Now
	Observe        func(CommitStats) // told of every commit, on the writer's goroutine; must not block
	Logger         *slog.Logger      // slog.Default
	Damaged        string            // what a Fault says when the file is damaged; "": that it must be restored
}

func (o Options) withDefaults() Options {
	if o.Durability == "" {
		o.Durability = Full
	}
	if o.Readers <= 0 {
		o.Readers = 8
	}
	if o.CacheKiB <= 0 {
		o.CacheKiB = 16_000
	}
	if o.AutoCheckpoint <= 0 {
		o.AutoCheckpoint = 1000
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Damaged == "" {
		o.Damaged = textDamaged
	}
	if o.Observe == nil {
		o.Observe = func(CommitStats) {}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// CommitStats is what one group commit was.
type CommitStats struct {
	Batch    int // closures in it
	Duration time.Duration
	Fsync    bool
	Shares   []Share // who caused what it wrote to the write-ahead log; valid during the call
}

// DB is an open database.
type DB struct {
	path    string
	o       Options
	rw, ro  *sql.DB // where the writer and the readers get their connections
	writer  *writer
	readers *readers
	faults  faults

	meter  meter
	free   func()  // of the meter
	opened Written // what the meter showed before
}

// Open opens the file at path, creating and migrating it when needed. Before it migrates a
// file that holds data, it leaves a copy beside it, named path.before-v and the new version.
// A file of a newer version is refused.
func Open(ctx context.Context, path string, o Options) (*DB, error) {
	o = o.withDefaults()
	d, err := open(ctx, path, o)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, explain(filepath.Dir(path), o.Damaged, err))
	}
	return d, nil
}

func open(ctx context.Context, path string, o Options) (_ *DB, err error) {
	if o.Durability != Full && o.Durability != Relaxed {
		return nil, fmt.Errorf("durability %q: write %q or %q", o.Durability, Full, Relaxed)
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := create(path); err != nil {
		return nil, err
	}
	d := &DB{path: path, o: o}
	if d.meter, d.free, err = openMeter(realPath(path)); err != nil {
		return nil, err
	}
	d.opened = d.meter.read()
	d.writer = newWriter(d)
	defer func() {
		if err != nil {
			d.closePools()
		}
	}()
	if d.rw, err = pool(path, d.writerPragmas(), d.writer.mayCommit); err != nil {
		return nil, err
	}
	if d.ro, err = pool(path, d.readerPragmas(), nil); err != nil {
		return nil, err
	}
	if err := d.migrate(ctx); err != nil {
		return nil, err
	}
	if d.writer.conn, err = newConn(ctx, d.rw); err != nil {
		return nil, err
	}
	d.readers = newReaders(d.ro, o.Readers)
	go d.writer.serve()
	return d, nil
}

// create makes the file, when it isn't there, readable by its owner only: SQLite gives its
// companions the same mode. It doesn't touch a file that exists, because closing a second
// descriptor of one that is open somewhere in the process would drop SQLite's locks on it.
func create(path string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// pool hands out connections and keeps none: who asks for one keeps it.
func pool(path string, pragmas []pragma, mayCommit func() bool) (*sql.DB, error) {
	c, err := connector(path, pragmas, mayCommit)
	if err != nil {
		return nil, err
	}
	p := sql.OpenDB(c)
	p.SetMaxIdleConns(-1)
	return p, nil
}

// commonPragmas are for every connection; busy_timeout is first because those after it may
// find the file locked.
var commonPragmas = []pragma{
	{"busy_timeout", "5000"},
	{"journal_mode", "WAL"},
	{"foreign_keys", "ON"},
	{"synchronous", "NORMAL"}, // the writer raises it for the commits that need it
	{"temp_store", "MEMORY"},  // savepoints keep their journal there
}

// The cache sizes are bounds in KiB, when negative.
func (d *DB) writerPragmas() []pragma {
	p := append(commonPragmas[:len(commonPragmas):len(commonPragmas)],
		pragma{"cache_size", strconv.Itoa(-d.o.CacheKiB)},
		pragma{"wal_autocheckpoint", strconv.Itoa(d.o.AutoCheckpoint)},
		pragma{"journal_size_limit", strconv.Itoa(64 << 20)}, // a log that a long reader made larger is cut again
	)
	if d.o.MaxPages > 0 {
		p = append(p, pragma{"max_page_count", strconv.Itoa(d.o.MaxPages)})
	}
	return p
}

func (d *DB) readerPragmas() []pragma {
	return append(commonPragmas[:len(commonPragmas):len(commonPragmas)],
		pragma{"cache_size", "-4000"},
		pragma{"query_only", "ON"},
	)
}

// Path is the absolute path of the file.
func (d *DB) Path() string { return d.path }

// Close waits for what runs and closes the file. Updates that came before it are done.
// It waits five seconds for read transactions; after that it returns an error that counts
// them, and their connections close when they end.
func (d *DB) Close() error {
	err := d.writer.close()
	return errors.Join(err, d.readers.close(), d.closePools())
}

func (d *DB) closePools() error {
	defer d.free()
	var err error
	for _, p := range []*sql.DB{d.ro, d.rw} {
		if p != nil {
			err = errors.Join(err, p.Close())
		}
	}
	return err
}

// Update runs f in the next group commit and returns when that is durable. f may run more
// than once (when a commit of its batch fails), so it must be repeatable: it assigns its
// results, it doesn't append to them. An error of f undoes f alone, and so does a panic,
// which comes back as an error. When ctx ends before f began, f doesn't run; once it has
// begun it is no longer cancelled, and the context it gets never ends.
func (d *DB) Update(ctx context.Context, f func(context.Context, *Tx) error) error {
	return d.noted(d.writer.do(ctx, f, d.o.Durability == Full))
}

// UpdateLazy is Update without the fsync, for changes whose loss at a power cut costs only
// work: claims, sweeps. It still rides in a durable batch when one is under way.
func (d *DB) UpdateLazy(ctx context.Context, f func(context.Context, *Tx) error) error {
	return d.noted(d.writer.do(ctx, f, false))
}

// TryWrite commits a change that changes nothing, to find out whether the file can be
// written.
func (d *DB) TryWrite(ctx context.Context) error {
	return d.Update(ctx, func(_ context.Context, tx *Tx) error {
		var version int
		if err := tx.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
			return err
		}
		_, err := tx.conn.sql.ExecContext(context.Background(), "PRAGMA user_version="+strconv.Itoa(version))
		return err
	})
}
