package outbox

import (
	"context"
	"maps"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// metrics counts what the outbox does. Gauges are read from the database when they are asked
// for.
type metrics struct {
	pickup          prometheus.Histogram
	retries         prometheus.Counter
	deadLetters     *prometheus.CounterVec
	handlerFailures *prometheus.CounterVec
	tooDeep         *prometheus.CounterVec
	abandoned       *prometheus.CounterVec
	reruns          *prometheus.CounterVec
	cronTicks       *prometheus.CounterVec
	cronSkips       *prometheus.CounterVec
	enqueued        *prometheus.CounterVec
	deduplicated    *prometheus.CounterVec
	gauges          *gauges

	mu    sync.RWMutex  // a sync.Map would allocate its key for each attempt
	begun map[work]bool // whose series are there
}

// work is what an app does for one source of events.
type work struct {
	app    cloud.AppID
	source string
}

func newMetrics(o *Outbox) *metrics {
	perApp := func(name, help string, more ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, append([]string{"app"}, more...))
	}
	return &metrics{
		pickup: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name:    "picloud_dispatch_pickup_seconds",
			Help:    "Time from when a row was due to the start of its attempt.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, 1, 5, 30, 120},
		}),
		retries:         prometheus.NewCounter(prometheus.CounterOpts{Name: "picloud_retries_total", Help: "Attempts that failed and will be repeated."}),
		deadLetters:     perApp("picloud_dead_letters_total", "Rows that used up their attempts.", "source"),
		handlerFailures: perApp("picloud_dead_letter_handler_failures_total", "Handlers of dead letters that failed."),
		tooDeep:         perApp("picloud_trigger_depth_exceeded_total", "Events dropped because they were deeper than the limit.", "trigger"),
		abandoned:       perApp("picloud_abandoned_executions_total", "Results that nobody waited for any more."),
		reruns:          perApp("picloud_conflict_reruns_total", "Executions run again because of a conflict."),
		cronTicks:       perApp("picloud_cron_ticks_total", "Ticks of schedules that were put into the outbox."),
		cronSkips:       perApp("picloud_cron_skips_total", "Times that a schedule left out ticks which it had missed."),
		enqueued:        perApp("picloud_queue_enqueued_total", "Messages put into queues."),
		deduplicated:    perApp("picloud_queue_duplicates_total", "Messages that were not stored because their deduplication id was known."),
		gauges:          newGauges(o),
		begun:           map[work]bool{},
	}
}

// Collectors are the outbox's metrics, to be registered.
func (o *Outbox) Collectors() []prometheus.Collector {
	all := []prometheus.Collector{o.metrics.pickup, o.metrics.retries, o.metrics.gauges}
	for _, c := range o.metrics.perApp() {
		all = append(all, c)
	}
	return all
}

// perApp are the counters with a label app.
func (m *metrics) perApp() []*prometheus.CounterVec {
	return []*prometheus.CounterVec{m.deadLetters, m.handlerFailures, m.tooDeep, m.abandoned, m.reruns, m.cronTicks, m.cronSkips, m.enqueued, m.deduplicated}
}

// begin makes what can go wrong with an app's attempts appear at zero, before the first of
// them goes wrong: the increase of a series that begins at one is none, and an alert on it
// would miss that one.
func (m *metrics) begin(app cloud.AppID, source string) {
	w := work{app, source}
	m.mu.RLock()
	seen := m.begun[w]
	m.mu.RUnlock()
	if seen {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.begun[w] = true
	m.deadLetters.WithLabelValues(app.String(), source)
	for _, c := range []*prometheus.CounterVec{m.handlerFailures, m.abandoned, m.reruns} {
		c.WithLabelValues(app.String())
	}
}

// forget drops the series of an app that is gone.
func (m *metrics) forget(app cloud.AppID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.begun, func(w work, _ bool) bool { return w.app == app })
	for _, c := range m.perApp() {
		c.DeletePartialMatch(prometheus.Labels{"app": app.String()})
	}
}

// ticked counts the ticks of a trigger.
func (m *metrics) ticked(t *cronTrigger, inserted int) {
	m.cronTicks.WithLabelValues(t.AppID.String()).Add(float64(inserted))
	if t.skipped {
		m.cronSkips.WithLabelValues(t.AppID.String()).Inc()
	}
}

// gauges are what Stats tells.
type gauges struct {
	o                           *Outbox
	rows, oldestDue, unresolved *prometheus.Desc
	messages, oldestMessage     *prometheus.Desc
}

func newGauges(o *Outbox) *gauges {
	return &gauges{
		o:          o,
		rows:       prometheus.NewDesc("picloud_outbox_rows", "Rows of the outbox by state: waiting, running, retrying.", []string{"state"}, nil),
		oldestDue:  prometheus.NewDesc("picloud_outbox_oldest_due_seconds", "How long the row that is due longest has been so.", nil, nil),
		unresolved: prometheus.NewDesc("picloud_dead_letters_unresolved", "Dead letters that are open.", []string{"app"}, nil),

		messages:      prometheus.NewDesc("picloud_queue_messages", "Messages of the queues that have a trigger, by state: waiting, delayed, in_flight.", []string{"app", "queue", "state"}, nil),
		oldestMessage: prometheus.NewDesc("picloud_queue_oldest_seconds", "How long the oldest message of a queue that has a trigger has been in it.", []string{"app", "queue"}, nil),
	}
}

func (g *gauges) Describe(c chan<- *prometheus.Desc) {
	c <- g.rows
	c <- g.oldestDue
	c <- g.unresolved
	c <- g.messages
	c <- g.oldestMessage
}

// scrapeTimeout bounds how long a scrape waits for a reader.
const scrapeTimeout = 5 * time.Second

func (g *gauges) Collect(c chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	s, err := g.o.Stats(ctx)
	if err != nil {
		c <- prometheus.NewInvalidMetric(g.rows, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		c <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(g.rows, float64(s.Waiting), stateWaiting)
	gauge(g.rows, float64(s.Running), stateRunning)
	gauge(g.rows, float64(s.Retrying), stateRetrying)
	gauge(g.oldestDue, s.OldestDueSeconds)
	for app, n := range s.Unresolved {
		gauge(g.unresolved, float64(n), app.String())
	}
	for _, q := range s.queues {
		app, age := q.app.String(), 0.0
		gauge(g.messages, float64(q.Length-q.Delayed-q.InFlight), app, q.Name, "waiting")
		gauge(g.messages, float64(q.Delayed), app, q.Name, "delayed")
		gauge(g.messages, float64(q.InFlight), app, q.Name, "in_flight")
		if !q.OldestAt.IsZero() {
			age = max(0, float64(g.o.now()-q.OldestAt)/1000)
		}
		gauge(g.oldestMessage, age, app, q.Name)
	}
}
