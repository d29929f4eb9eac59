package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"picloud/app/cloud"
	"picloud/app/web"
	"picloud/db"
)

// plausible is the earliest time a sound clock can show: machines without a battery start
// in the past.
var plausible = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// system fills in what only the whole machine knows.
func (a *App) system(ctx context.Context, s *web.System) error {
	s.StartedAt, s.UptimeSeconds = cloud.TimeOf(a.started), time.Since(a.started).Seconds()
	s.Engines, s.Durability = a.executor.Engines(), string(a.cfg.Durability)
	for d, bytes := range map[*db.DB]*int64{a.state: &s.Database.StateBytes, a.logs: &s.Database.LogsBytes} {
		n, err := d.Size()
		if err != nil {
			return fmt.Errorf("size of the database: %w", err)
		}
		*bytes = n
	}
	if wal, err := os.Stat(a.state.Path() + "-wal"); err == nil {
		s.Database.WALBytes = wal.Size()
		s.Database.StateBytes -= wal.Size()
	}
	s.Wear = a.wear.system(ctx, a, time.Since(a.started).Hours())
	g := a.gate.Stats()
	s.Gate = web.SystemGate{Capacity: g.Capacity, InUse: g.InUse, Waiting: g.Waiting}
	s.Replication = a.replication.status()
	s.Warnings = append(s.Warnings, a.replication.warnings()...)
	free, size, err := a.disk.stat(a.cfg.DataDir)
	if err != nil {
		return err
	}
	s.Database.DiskFreeBytes, s.Database.DiskSizeBytes = free, size
	if w := a.disk.warning(free); w != "" {
		s.Warnings = append(s.Warnings, w)
	}
	if err := a.secrets.Check(ctx); err != nil {
		s.Warnings = append(s.Warnings, cloud.Message(err))
	}
	if why := a.outbox.ClockWarning(); why != "" {
		s.Warnings = append(s.Warnings, why)
	} else if time.Now().Before(plausible) {
		s.Warnings = append(s.Warnings, "the clock is in the past: set it, or connect to the network for NTP")
	}
	return nil
}

// metrics are those of the machine as a whole.
type metrics struct {
	commitSeconds prometheus.Histogram
	commitBatch   prometheus.Histogram
	refused       prometheus.Counter
}

func newMetrics() *metrics {
	return &metrics{
		commitSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picloud_commit_seconds", Help: "Duration of group commits of picloud.db.",
			Buckets: prometheus.ExponentialBuckets(0.00005, 2, 16),
		}),
		commitBatch: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picloud_commit_batch_size", Help: "Changes that one group commit held.",
			Buckets: prometheus.ExponentialBuckets(1, 2, 9),
		}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{Name: "picloud_connections_refused_total", Help: "Connections closed at once because too many were open, in all or from one address."}),
	}
}

// commit is told of every group commit.
func (m *metrics) commit(s db.CommitStats) {
	m.commitSeconds.Observe(s.Duration.Seconds())
	m.commitBatch.Observe(float64(s.Batch))
}

// Collectors of the machine: commits, the Go runtime and the process.
func (m *metrics) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		m.commitSeconds, m.commitBatch, m.refused,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	}
}

// fileCollector shows the size of both files when it is asked.
func (a *App) fileCollector() prometheus.Collector {
	return files{a, prometheus.NewDesc("picloud_db_bytes", "Size of the database files with their write-ahead logs.", []string{"file"}, nil)}
}

type files struct {
	a    *App
	desc *prometheus.Desc
}

func (f files) Describe(ch chan<- *prometheus.Desc) { ch <- f.desc }

func (f files) Collect(ch chan<- prometheus.Metric) {
	for name, d := range map[string]*db.DB{"picloud.db": f.a.state, "logs.db": f.a.logs} {
		n, err := d.Size()
		if err != nil {
			ch <- prometheus.NewInvalidMetric(f.desc, err)
			continue
		}
		ch <- prometheus.MustNewConstMetric(f.desc, prometheus.GaugeValue, float64(n), name)
	}
}
