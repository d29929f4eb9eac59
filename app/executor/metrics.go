package executor

import (
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// metrics counts executions.
type metrics struct {
	total    *prometheus.CounterVec
	duration prometheus.Histogram
	stuck    prometheus.Counter
	counters sync.Map // counterKey -> prometheus.Counter, to spare the look-up by label texts
}

type counterKey struct {
	app    cloud.AppID
	script cloud.ScriptID
	source string
	status cloud.Status
}

func newMetrics() *metrics {
	return &metrics{
		total: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picloud_executions_total", Help: "Executions that ended, by script, source and status.",
		}, []string{"app", "script", "source", "status"}),
		duration: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "picloud_execution_duration_seconds", Help: "Time from an execution's start to its script's end.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		}),
		stuck: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "picloud_executions_stuck_total", Help: "Executions that an engine could not stop.",
		}),
	}
}

func (m *metrics) record(inv *cloud.Invocation, res *cloud.Result) {
	key := counterKey{inv.App, inv.Script, inv.Source, cloud.StatusOf(res.Err)}
	c, ok := m.counters.Load(key)
	if !ok {
		c = m.total.WithLabelValues(key.app.String(), key.script.String(), key.source, string(key.status))
		m.counters.Store(key, c)
	}
	c.(prometheus.Counter).Inc()
	m.duration.Observe(res.DurationMS / 1000)
}

// forget drops the counters of a script that is gone.
func (m *metrics) forget(id cloud.ScriptID) {
	m.total.DeletePartialMatch(prometheus.Labels{"script": id.String()})
	m.counters.Range(func(k, _ any) bool {
		if k.(counterKey).script == id {
			m.counters.Delete(k)
		}
		return true
	})
}

// Collectors are the executor's metrics.
func (e *Executor) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{e.metrics.total, e.metrics.duration, e.metrics.stuck}
	if e.workers != nil {
		all = append(all, e.workers.ended, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picloud_isolation_workers", Help: "Worker processes that live now.",
		}, func() float64 { return float64(e.workers.living()) }))
	}
	return all
}

// Collectors are the gate's metrics.
func (g *Gate) Collectors() []prometheus.Collector {
	return []prometheus.Collector{
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "picloud_gate_in_use", Help: "Executions that run now.",
		}, func() float64 { return float64(g.Stats().InUse) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "picloud_gate_rejected_total", Help: "Callers that got no permit.",
		}, func() float64 { return float64(g.rejected.Load()) }),
	}
}
