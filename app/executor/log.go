package executor

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/db"
)

// Log is the execution log on logs.db. Recording only appends to a bounded buffer; what is
// in it is written in batches, and before anything is read, so that an execution can be
// looked up as soon as its caller has the answer. Trouble with logs.db never fails an
// execution: what can't be written is counted and dropped.
type Log struct {
	db     *db.DB
	o      LogOptions
	wake   chan struct{} // capacity 1: the first record of a batch
	full   chan struct{} // capacity 1: a batch is full
	failed chan struct{} // capacity 1: an execution failed
	lost   atomic.Int64  // records that were dropped
	readMu sync.Mutex    // one flush at a time; guards the caps below
	kept   logSize
	warned time.Time

	mu      sync.Mutex // guards what follows
	buffer  []*logEntry
	bytes   int
	readers map[chan *cloud.Execution]cloud.AppID
	streams atomic.Int32 // len(readers), for Record
}

// LogOptions of NewLog. The zero value of each field works.
type LogOptions struct {
	MaxAge   time.Duration // 7 days
	MaxRows  int64         // 100,000
	MaxBytes int64         // 256 MiB, of records
	Epoch    time.Time     // before any true time: what is older was recorded by a clock in the past, and its age is unknown
	Settled  func() bool   // reports that the clock can be believed, so that what is too old by it goes; nil: it always can
	Delay    time.Duration // 5 s: how long a record may wait for others to be written with
	Shed     func() bool   // reports that nothing may be written, for want of room; nil: it always may
	Now      func() time.Time
	Logger   *slog.Logger
}

// Bounds of the buffer.
const (
	logBatch       = 256
	logBatchBytes  = 1 << 20
	failureDelay   = 200 * time.Millisecond // a failure isn't to be lost with the process
	logBuffer      = 4096
	logBufferBytes = 16 << 20
)

// NewLog makes the log on an open logs.db. Serve writes it.
func NewLog(d *db.DB, o LogOptions) *Log {
	if o.MaxAge <= 0 {
		o.MaxAge = 7 * 24 * time.Hour
	}
	if o.MaxRows <= 0 {
		o.MaxRows = 100_000
	}
	if o.MaxBytes <= 0 {
		o.MaxBytes = 256 << 20
	}
	if o.Settled == nil {
		o.Settled = func() bool { return true }
	}
	if o.Delay <= 0 {
		o.Delay = 5 * time.Second
	}
	if o.Shed == nil {
		o.Shed = func() bool { return false }
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Log{
		db: d, o: o, kept: logSize{rows: -1},
		wake: make(chan struct{}, 1), full: make(chan struct{}, 1), failed: make(chan struct{}, 1), readers: map[chan *cloud.Execution]cloud.AppID{},
	}
}

// Record keeps one execution. It doesn't block.
func (l *Log) Record(inv *cloud.Invocation, res *cloud.Result) {
	e := newLogEntry(inv, res, cloud.TimeOf(l.o.Now()))
	if l.streams.Load() > 0 {
		l.publish(e.execution())
	}
	l.mu.Lock()
	if len(l.buffer) >= logBuffer || l.bytes >= logBufferBytes {
		l.dropLocked()
	}
	l.buffer = append(l.buffer, e)
	l.bytes += e.size
	n, full := len(l.buffer), len(l.buffer) == logBatch || l.bytes >= logBatchBytes
	l.mu.Unlock()
	if n == 1 {
		signal(l.wake)
	}
	if full {
		signal(l.full)
	}
	if e.x.Status != cloud.StatusSuccess {
		signal(l.failed)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// dropLocked makes room: the oldest success goes, or the oldest of all.
func (l *Log) dropLocked() {
	at := 0
	for i, e := range l.buffer {
		if e.x.Status == cloud.StatusSuccess {
			at = i
			break
		}
	}
	l.bytes -= l.buffer[at].size
	l.buffer = append(l.buffer[:at], l.buffer[at+1:]...)
	l.lost.Add(1)
}

// Serve writes what was recorded, in batches, and keeps the caps, until ctx ends; then it
// writes the rest.
func (l *Log) Serve(ctx context.Context) error {
	trim := time.NewTicker(time.Hour) // age alone can pass while nothing is recorded
	defer trim.Stop()
	for {
		select {
		case <-ctx.Done():
			l.flush(context.WithoutCancel(ctx))
			return nil
		case <-l.wake:
			l.gather(ctx)
			l.flush(context.WithoutCancel(ctx))
		case <-trim.C:
		}
		l.trim(context.WithoutCancel(ctx))
	}
}

// gather waits for the rest of a batch: a batch of one record changes as many pages of the
// file as one of many. A failure cuts the wait short.
func (l *Log) gather(ctx context.Context) {
	timer := time.NewTimer(l.o.Delay)
	defer timer.Stop()
	for failed := l.failed; ; {
		select {
		case <-failed:
			failed = nil
			timer.Reset(min(failureDelay, l.o.Delay))
			continue
		case <-ctx.Done():
		case <-timer.C:
		case <-l.full:
		}
		return
	}
}

// flush writes everything that was recorded before the call.
func (l *Log) flush(ctx context.Context) {
	l.readMu.Lock()
	defer l.readMu.Unlock()
	l.mu.Lock()
	batch := l.buffer
	l.buffer, l.bytes = nil, 0
	l.mu.Unlock()
	for len(batch) > 0 {
		n := min(len(batch), logBatch)
		l.write(ctx, batch[:n])
		batch = batch[n:]
	}
}

// write stores one batch, or drops it when logs.db can't.
func (l *Log) write(ctx context.Context, batch []*logEntry) {
	if l.o.Shed() {
		l.lost.Add(int64(len(batch)))
		l.warn("execution logs are dropped: the disk is nearly full", nil)
		return
	}
	var written int64
	err := l.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		written = 0
		for _, e := range batch {
			tx.CountFor(db.Cause{App: e.x.AppID, Script: e.x.ScriptID, Trigger: e.x.TriggerID}, int64(e.size))
			n, err := insertExecution(tx, e.execution())
			if err != nil {
				return err
			}
			written += n
		}
		return nil
	})
	if err != nil {
		l.lost.Add(int64(len(batch)))
		l.warn("execution log can't be written", err)
		return
	}
	l.kept.add(int64(len(batch)), written)
}

// warn tells of trouble with logs.db, at most once a minute.
func (l *Log) warn(what string, err error) {
	if now := l.o.Now(); now.Sub(l.warned) >= time.Minute {
		l.warned = now
		args := []any{"dropped", l.lost.Load()}
		if err != nil {
			args = append(args, "err", err)
		}
		l.o.Logger.Warn(what, args...)
	}
}

// Lost is how many records were dropped since the start.
func (l *Log) Lost() int64 { return l.lost.Load() }

// Subscribe streams an app's finished executions until cancel; a slow reader misses some.
func (l *Log) Subscribe(app cloud.AppID) (<-chan *cloud.Execution, func()) {
	c := make(chan *cloud.Execution, 64)
	l.mu.Lock()
	l.readers[c] = app
	l.mu.Unlock()
	l.streams.Add(1)
	return c, sync.OnceFunc(func() {
		l.mu.Lock()
		delete(l.readers, c)
		l.mu.Unlock()
		l.streams.Add(-1)
	})
}

func (l *Log) publish(x *cloud.Execution) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c, app := range l.readers {
		if app != x.AppID {
			continue
		}
		select {
		case c <- x:
		default:
		}
	}
}

// Collectors are the log's metrics.
func (l *Log) Collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "picloud_execution_log_dropped_total", Help: "Executions that the log could not keep.",
	}, func() float64 { return float64(l.lost.Load()) })}
}
