package data

import (
	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

type metrics struct {
	bytesWritten *prometheus.CounterVec
}

func newMetrics() metrics {
	return metrics{
		bytesWritten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picloud_bytes_written_total",
			Help: "Bytes of keys and values that an app has written.",
		}, []string{"app"}),
	}
}

func (m metrics) written(app cloud.AppID, bytes int64) {
	if bytes > 0 {
		m.bytesWritten.WithLabelValues(app.String()).Add(float64(bytes))
	}
}

// Collectors are the store's metrics.
func (s *Store) Collectors() []prometheus.Collector {
	return append(s.hub.collectors(), s.metrics.bytesWritten)
}
