// Package replica keeps a second copy of a SQLite file at another place, with litestream
// inside the process, and brings it back. DESIGN.md says why so.
package replica

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/benbjohnson/litestream/s3"
)

// Options of New.
type Options struct {
	File     *File  // needed
	Database string // path of the database; needed
	Dir      string // for what must outlive a restart; the database's directory
	TakeOver bool   // take the lease from whoever has it
	WatchWAL bool   // this process has the database not open otherwise, and nobody calls Committed

	VerifyEvery time.Duration // 0: only when asked
	Logger      *slog.Logger
}

// ErrNotNamed says that the configuration does not name the database.
var ErrNotNamed = errors.New("the file names no such database")

// Replicator replicates one database to one target.
type Replicator struct {
	o      Options
	log    *slog.Logger
	path   string // of the database, absolute
	target string // for people, without secrets
	guard  *guard
	lease  *lease
	health health
	lag    lag
	notes  *notes
	unlock func() error // of the file that keeps a second replicator away

	store       *litestream.Store
	db          *litestream.DB
	levels      int           // of compaction, above the first
	interval    time.Duration // between two stagings
	autoRecover bool          // start staging anew when its files are damaged

	wake   chan struct{} // a commit
	staged chan struct{} // something to upload
	back   chan struct{} // the target is back
	verify verifier

	staging sync.Mutex // serializes staging, and guards what follows
	opened  bool       // the store is open
	ready   bool       // litestream has the database open
	shared  *os.File   // see holdLock

	trouble trouble
}

// New makes the replicator of a database. It opens neither the database nor the network. The
// error is ErrNotNamed when the file does not name the database.
func New(o Options) (*Replicator, error) {
	r := &Replicator{o: o, log: o.Logger, wake: make(chan struct{}, 1), staged: make(chan struct{}, 1), back: make(chan struct{}, 1)}
	if r.log == nil {
		r.log = slog.Default()
	}
	r.verify.asked = make(chan struct{}, 1)
	var err error
	if r.path, err = filepath.Abs(o.Database); err != nil {
		return nil, err
	}
	if r.o.Dir == "" {
		r.o.Dir = filepath.Dir(r.path)
	}
	if r.o.Dir, err = filepath.Abs(r.o.Dir); err != nil {
		return nil, err
	}
	d := o.File.entry(r.path)
	if d == nil {
		return nil, ErrNotNamed
	}
	t, err := o.File.target(d)
	if err != nil {
		return nil, err
	}
	if os.Getenv("AWS_CA_BUNDLE") != "" && t.kind() == s3.ReplicaClientType {
		// The SDK refuses it together with litestream's HTTP client, and nothing else here reads it.
		r.log.Warn("AWS_CA_BUNDLE can't be used and is passed over: set SSL_CERT_FILE, if the target needs a certificate of its own")
		os.Unsetenv("AWS_CA_BUNDLE")
	}
	if r.notes, err = openNotes(r.o.Dir); err != nil {
		return nil, fmt.Errorf("read %s: %w", notesName, err)
	}
	r.lease = &lease{me: identity(r.o.Dir, r.notes.device()), takeOver: o.TakeOver}
	if r.guard, err = newGuard(t.client, &r.health, r.lease); err != nil {
		return nil, err
	}
	r.target, r.lease.store = describe(r.guard.inner()), leaseAt(r.guard.inner())
	r.autoRecover = t.AutoRecover == nil || *t.AutoRecover
	r.assemble(o.File, d, t)
	return r, nil
}

// leaseAt is where the target of a client keeps its lease; nil where it can't.
func leaseAt(c litestream.ReplicaClient) leaseStore {
	switch c := c.(type) {
	case *directory:
		return fileLease{c.Path()}
	case *s3.ReplicaClient:
		return &s3Lease{replica: c, timeout: callTimeout}
	}
	return nil
}

// assemble puts litestream together, without its own loops, with defaults for a small
// machine and a paid object store where the file says nothing.
func (r *Replicator) assemble(f *File, d *database, t *target) {
	db := litestream.NewDB(r.path)
	if d.MetaPath != nil {
		db.SetMetaPath(resolve("", *d.MetaPath))
	}
	r.interval = or(d.MonitorInterval, time.Second)
	db.MonitorInterval = 0
	db.CheckpointInterval = or(d.CheckpointInterval, db.CheckpointInterval)
	db.BusyTimeout = or(d.BusyTimeout, db.BusyTimeout)
	db.MinCheckpointPageN = or(d.MinCheckpointPageN, 4000)
	db.TruncatePageN = or(d.TruncatePageN, 2_000_000) // a truncating checkpoint makes writers wait for readers
	db.MaxSyncWALBytes = or(d.MaxSyncWALBytes, db.MaxSyncWALBytes)

	rep := litestream.NewReplicaWithClient(db, r.guard)
	rep.MonitorEnabled = false
	db.Replica = rep

	levels := litestream.CompactionLevels{{Level: 0}, {Level: 1, Interval: 5 * time.Minute}, {Level: 2, Interval: time.Hour}}
	if len(f.Levels) > 0 {
		levels = levels[:1]
		for i, l := range f.Levels {
			levels = append(levels, &litestream.CompactionLevel{Level: i + 1, Interval: l.Interval})
		}
	}
	s := litestream.NewStore([]*litestream.DB{db}, levels)
	s.Logger = slog.New(quiet{r.log.Handler()})
	s.SnapshotInterval = or(d.Snapshot.Interval, or(f.Snapshot.Interval, 24*time.Hour))
	s.SnapshotRetention = or(d.Snapshot.Retention, or(f.Snapshot.Retention, 7*24*time.Hour))
	s.SetL0Retention(or(f.L0Retention, time.Hour))
	s.L0RetentionCheckInterval = or(f.L0RetentionCheckInterval, 10*time.Minute) // each check is a LIST
	s.SetShutdownSyncTimeout(or(f.ShutdownSyncTimeout, closeTimeout))
	s.SetVerifyCompaction(f.VerifyCompaction)
	s.SetRetentionEnabled(or(f.Retention.Enabled, true))
	s.ValidationInterval = or(f.Validation.Interval, 0)
	db.SetLogger(s.Logger)
	r.store, r.db, r.levels = s, db, len(levels)-1
}

func or[T any](v *T, otherwise T) T {
	if v != nil {
		return *v
	}
	return otherwise
}

// quiet makes litestream's news details: what it does every minute is no news here.
type quiet struct{ slog.Handler }

func (q quiet) Enabled(ctx context.Context, l slog.Level) bool {
	return q.Handler.Enabled(ctx, lower(l))
}

func (q quiet) Handle(ctx context.Context, rec slog.Record) error {
	rec.Level = lower(rec.Level)
	return q.Handler.Handle(ctx, rec)
}

func (q quiet) WithAttrs(a []slog.Attr) slog.Handler { return quiet{q.Handler.WithAttrs(a)} }
func (q quiet) WithGroup(name string) slog.Handler   { return quiet{q.Handler.WithGroup(name)} }

// lower turns information into detail. Warnings and errors of litestream are those of calls
// that we see and report ourselves, so they are detail too, but for what only it knows.
func lower(l slog.Level) slog.Level {
	if l >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// Target names where the copy is, without secrets.
func (r *Replicator) Target() string { return r.target }

// Committed is told of every commit to the database; it does not block.
func (r *Replicator) Committed() {
	r.lag.committed()
	notify(r.wake)
}

func notify(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
