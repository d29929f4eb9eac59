package app

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/app/replica"
	"picloud/app/web"
	"picloud/durable"
)

// Where picloud.db is replicated.
const (
	inside  = "inside"  // by the instance itself
	outside = "outside" // by picloud replicate, or by litestream
)

// replicatedCheckpoint is how many pages of write-ahead log make a commit of a replicated
// database try to checkpoint. litestream does so itself, and holds the log meanwhile: trying
// more often costs every commit and achieves nothing.
const replicatedCheckpoint = 10_000

// stateFile is the database of the instance in its data directory.
func (c *Config) stateFile() string { return filepath.Join(c.DataDir, "picloud.db") }

// replication is the instance's second copy.
type replication struct {
	*replica.Replicator        // nil: this process does not replicate
	state               string // off or outside when it is nil
	reason              string // why it is nil
	named               bool   // litestream.yml names the database, so something replicates it
}

// openReplication reads litestream.yml and brings picloud.db back when it is missing. It is
// called before anything opens the database.
func (a *App) openReplication(ctx context.Context) error {
	a.replication.state = "off"
	r, reason, err := a.cfg.replicator(a.log, false)
	if err != nil {
		return err
	}
	if a.replication.reason = reason; r == nil {
		return nil
	}
	a.replication.named = true
	lead := a.cfg.Replication == inside
	if lead {
		if !replica.Supported {
			return cloud.Errorf(cloud.Invalid, "this build uses another SQLite library than litestream, and two of them in one process damage the database: set PICLOUD_REPLICATION=outside and run `picloud replicate` beside the instance, or use the standard build")
		}
		if err := r.Hold(); err != nil {
			return err
		}
	}
	a.replication.state, a.replication.reason = outside, "PICLOUD_REPLICATION=outside: another process replicates"
	if lead {
		a.replication.Replicator = r
	}
	_, err = r.RestoreIfMissing(ctx, lead)
	return doubt(err)
}

// doubt says what to do when it isn't certain whether the database must be restored.
func doubt(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("the database is missing and can't be restored, so the instance does not start (set PICLOUD_LITESTREAM_CONFIG=off to start with an empty one): %w", err)
}

// replicator makes the replicator of picloud.db; nil with the reason when it is not replicated.
func (c *Config) replicator(log *slog.Logger, alone bool) (r *replica.Replicator, reason string, err error) {
	f, reason, err := c.replicaFile()
	if f == nil {
		return nil, reason, err
	}
	r, err = replica.New(replica.Options{
		File: f, Database: c.stateFile(), Dir: c.DataDir, TakeOver: c.TakeOver, WatchWAL: alone,
		VerifyEvery: days(c.ReplicaVerifyDays), Logger: log,
	})
	if errors.Is(err, replica.ErrNotNamed) {
		return nil, fmt.Sprintf("%s has no entry for %s", replica.FileName, filepath.Base(c.stateFile())), nil
	}
	if err != nil {
		return nil, "", cloud.Errorf(cloud.Invalid, "%s: %v", replica.FileName, err)
	}
	return r, "", nil
}

// replicaFile is the litestream.yml in force: that of the setting, else one in the data
// directory, else one in the working directory.
func (c *Config) replicaFile() (f *replica.File, reason string, err error) {
	names := []string{c.LitestreamConfig}
	switch c.LitestreamConfig {
	case "off":
		return nil, "PICLOUD_LITESTREAM_CONFIG=off", nil
	case "":
		names = []string{filepath.Join(c.DataDir, replica.FileName), replica.FileName}
	}
	for _, name := range names {
		f, err = replica.Load(name)
		if errors.Is(err, fs.ErrNotExist) && c.LitestreamConfig == "" {
			continue
		}
		if err != nil {
			return nil, "", cloud.Errorf(cloud.Invalid, "the replication settings: %v", err)
		}
		return f, "", nil
	}
	return nil, "there is no " + replica.FileName + " in the data directory", nil
}

// collectors of the replication; without one, those of the contract stand at zero.
func (c *replication) collectors() []prometheus.Collector {
	if c.Replicator != nil {
		return c.Collectors()
	}
	return []prometheus.Collector{
		prometheus.NewGauge(prometheus.GaugeOpts{Name: "picloud_replica_lag_seconds", Help: "Age of the oldest commit that the replica doesn't have."}),
		prometheus.NewCounter(prometheus.CounterOpts{Name: "picloud_replica_errors_total", Help: "Failures of the replication."}),
	}
}

// serve replicates until ctx ends, where this process replicates.
func (c *replication) serve(ctx context.Context) error {
	if c.Replicator == nil {
		<-ctx.Done()
		return nil
	}
	return c.Serve(ctx)
}

func (c *replication) close() error {
	if c.Replicator == nil {
		return nil
	}
	return c.Replicator.Close()
}

// committed is told of every commit.
func (c *replication) committed() {
	if c.Replicator != nil {
		c.Committed()
	}
}

// status is what GET /system shows of the second copy.
func (c *replication) status() web.SystemReplication {
	if c.Replicator == nil {
		return web.SystemReplication{State: c.state, Reason: c.reason}
	}
	s := c.Status()
	out := web.SystemReplication{
		State: string(s.State), Target: s.Target, LagSeconds: s.Lag.Seconds(), LastSyncAt: timeOf(s.LastSuccess),
		LastError: s.LastError, LastErrorAt: timeOf(s.LastErrorAt), TXID: txid(s.TXID), TargetTXID: txid(s.TargetTXID),
		StagedFiles: s.StagedFiles, StagedBytes: s.StagedBytes, Verifying: s.Verifying,
		Lease: web.SystemLease{Supported: s.Lease.Supported, Held: s.Lease.Held, Owner: s.Lease.Owner, ExpiresAt: timeOf(s.Lease.ExpiresAt)},
	}
	if v := s.Verification; v != nil {
		out.Verification = &web.Verification{
			At: timeOf(v.At), OK: v.Error == "", Error: v.Error, Seconds: v.Seconds, TXID: txid(v.TXID),
			StateOf: timeOf(v.StateOf), BytesRead: v.Bytes, Rows: v.Rows, Tables: make([]web.TableRows, len(v.Tables)),
		}
		for i, t := range v.Tables {
			out.Verification.Tables[i] = web.TableRows(t)
		}
	}
	return out
}

// longLag is the lag from which GET /system warns.
const longLag = 5 * time.Minute

// warnings of the second copy, for people who look at the system page.
func (c *replication) warnings() (w []string) {
	if c.Replicator == nil {
		return nil
	}
	s := c.Status()
	if s.State == replica.Failing {
		w = append(w, "the second copy fails: "+s.LastError)
	} else if s.Lag > longLag {
		w = append(w, fmt.Sprintf("the second copy is %v behind", s.Lag.Round(time.Second)))
	}
	if v := s.Verification; v != nil && v.Error != "" {
		w = append(w, "the second copy failed its last verification: "+v.Error)
	}
	return w
}

func timeOf(t time.Time) cloud.Time {
	if t.IsZero() {
		return 0
	}
	return cloud.TimeOf(t)
}

func txid(id uint64) string {
	if id == 0 {
		return ""
	}
	return replica.FormatTXID(id)
}

// Replicate replicates picloud.db of a data directory from a process of its own until ctx
// ends, with the settings of the instance. It waits for the database when there is none.
func Replicate(ctx context.Context, c *Config) error {
	log := c.Logger
	if log == nil {
		log = slog.Default()
	}
	if err := durable.MakeDir(c.DataDir); err != nil {
		return fmt.Errorf("make the data directory: %w", err)
	}
	r, reason, err := c.replicator(log, true)
	if err != nil {
		return err
	}
	if r == nil {
		return cloud.Errorf(cloud.Invalid, "nothing to replicate: %s", reason)
	}
	if err := r.Hold(); err != nil {
		return err
	}
	log.Info("replicating", "database", c.stateFile(), "target", r.Target())
	return errors.Join(r.Serve(ctx), r.Close())
}
