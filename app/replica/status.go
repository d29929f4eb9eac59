package replica

import (
	"os"
	"path/filepath"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// State sums the replication up.
type State string

const (
	OK      State = "ok"
	Behind  State = "behind"  // on its way, but not there yet
	Failing State = "failing" // the last attempt failed
)

// behindAfter is the lag from which replication counts as behind.
const behindAfter = 10 * time.Second

// Status is how the replication stands.
type Status struct {
	State        State
	Target       string        // without secrets
	Lag          time.Duration // age of the oldest commit that the target doesn't have
	LastSuccess  time.Time     // of a call to the target
	LastError    string        // "" when there was none since the start
	LastErrorAt  time.Time
	TXID         uint64 // of the database, as far as it is staged
	TargetTXID   uint64 // of the target; 0: not known
	StagedFiles  int    // local files that wait, or are kept for a while
	StagedBytes  int64
	Lease        LeaseStatus
	Verification *Verification // the last one; nil: none yet
	Verifying    bool
}

// Status asks nothing of the network.
func (r *Replicator) Status() Status {
	s := Status{State: OK, Target: r.target, Lag: r.Lag(), Lease: r.lease.status(), Verification: r.notes.verification(), Verifying: r.verify.running()}
	if pos, err := r.db.Pos(); err == nil {
		s.TXID = uint64(pos.TXID)
	}
	s.TargetTXID = uint64(r.db.Replica.Pos().TXID)
	var err error
	if s.LastSuccess, err, s.LastErrorAt = r.health.last(); err != nil {
		s.LastError = words(err)
	}
	now := r.trouble.any()
	if now != nil {
		s.LastError = now.Error()
	}
	switch {
	case now != nil, s.LastErrorAt.After(s.LastSuccess):
		s.State = Failing
	case s.Lag > behindAfter, s.LastSuccess.IsZero():
		s.State = Behind
	}
	s.StagedFiles, s.StagedBytes = r.stagedFiles()
	return s
}

// Lag is the age of the oldest commit that the target doesn't have.
func (r *Replicator) Lag() time.Duration {
	since := r.lag.since()
	if since.IsZero() {
		return 0
	}
	return max(0, time.Since(since))
}

func (r *Replicator) stagedFiles() (n int, bytes int64) {
	entries, err := os.ReadDir(r.db.LTXLevelDir(0))
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		if info, err := e.Info(); err == nil && filepath.Ext(e.Name()) == ".ltx" {
			n++
			bytes += info.Size()
		}
	}
	return n, bytes
}

// Collectors of what is counted.
func (r *Replicator) Collectors() []prometheus.Collector {
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	counter := func(name, help string, labels prometheus.Labels, f func() int64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels}, func() float64 { return float64(f()) })
	}
	call := func(kind string, f func() int64) prometheus.Collector {
		return counter("picloud_replica_calls_total", "Calls to the replica's target.", prometheus.Labels{"call": kind}, f)
	}
	h := &r.health
	return []prometheus.Collector{
		gauge("picloud_replica_lag_seconds", "Age of the oldest commit that the replica doesn't have.", func() float64 { return r.Lag().Seconds() }),
		counter("picloud_replica_errors_total", "Failures of the replication.", nil, h.errs.Load),
		call("put", h.puts.Load), call("get", h.gets.Load), call("list", h.lists.Load), call("delete", h.deletes.Load),
		gauge("picloud_replica_last_success_timestamp_seconds", "Unix time of the last call to the target that succeeded, 0 for none.", func() float64 {
			ok, _, _ := h.last()
			return epoch(ok)
		}),
		gauge("picloud_replica_verified_timestamp_seconds", "Unix time of the last verification, 0 for none.", func() float64 {
			if v := r.notes.verification(); v != nil {
				return epoch(v.At)
			}
			return 0
		}),
		gauge("picloud_replica_verification_ok", "1 when the last verification found the replica good.", func() float64 {
			if v := r.notes.verification(); v != nil && v.Error == "" {
				return 1
			}
			return 0
		}),
	}
}

func epoch(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
