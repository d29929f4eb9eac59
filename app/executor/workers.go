package executor

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
)

// workers are the processes that scripts run in. Each belongs to the first app that it works
// for, so that whatever a script does to its process, no other app's data are in there. An
// execution holds one worker from its start to its end, with all scripts that it invokes; to
// compile takes a place of its own. So nobody who holds a place waits for another one.
type workers struct {
	kit    *kit
	most   int
	keep   int64 // bytes that contexts which don't run may take in one worker
	memory int64 // bytes that a worker may take beyond what it starts with
	log    *slog.Logger

	running   chan struct{} // a token for each execution that may hold a worker
	compiling chan struct{} // the same for sources
	starts    chan func()   // to the thread that starts workers
	quit      chan struct{}
	turns     *workerTurns

	mu      sync.Mutex // guards what follows, and the contexts of all workers
	idle    []*worker  // the latest used last
	live    map[*worker]bool
	begun   int   // workers that are being started
	ids     int64 // of contexts
	sweep   *time.Timer
	sweepAt time.Time
	closed  bool
	all     sync.WaitGroup

	ended *prometheus.CounterVec
}

const (
	// workerIdle is how long a worker is kept without use.
	workerIdle = 60 * time.Second
	// workerRest is how long one is kept though another app needs its place, while that can
	// have one of the extra places: apps that are called again and again don't wait for the
	// start of a worker because others start many.
	workerRest = time.Second
	// workerSpan is how long a worker may run scripts before it is replaced. Its processor
	// seconds are bounded by twice that and the longest run, see lockUp.
	workerSpan    = 10 * time.Minute
	workerCompile = 2 // sources that are compiled at once

	workerSlack = 128 << 20 // bytes, for the Go heap and stacks of a worker
)

func newWorkers(k *kit, most int, keep int64, ceiling cloud.Limits, log *slog.Logger) *workers {
	p := &workers{
		kit: k, most: most, keep: max(keep/int64(most), leastMemory), log: log,
		memory:  2*ceiling.MemoryBytes + max(keep/int64(most), leastMemory) + compileMemory + workerSlack,
		running: make(chan struct{}, most), compiling: make(chan struct{}, workerCompile),
		starts: make(chan func()), quit: make(chan struct{}), turns: newWorkerTurns(), live: map[*worker]bool{},
		ended: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "picloud_isolation_workers_ended_total", Help: "Worker processes that ended, by reason.",
		}, []string{"reason"}),
	}
	for range most {
		p.running <- struct{}{}
	}
	for range workerCompile {
		p.compiling <- struct{}{}
	}
	p.all.Go(p.starter)
	return p
}

// engine is one of the engines for one app.
func (p *workers) engine(name string, app cloud.AppID) Engine {
	return &processEngine{workers: p, name: name, app: app}
}

// forRunning gives out a worker of the app, if it can the one that is asked for, until ran is
// called. It waits for a place until the deadline.
func (p *workers) forRunning(b Budget, app cloud.AppID, home *worker) (*worker, error) {
	select {
	case <-p.running:
	default:
		timer := time.NewTimer(time.Until(b.Deadline))
		defer timer.Stop()
		select {
		case <-p.running:
		case <-b.Ctx.Done():
			return nil, calledOff("", b.Ctx).Err
		case <-timer.C:
			return nil, cloud.Errorf(cloud.Overloaded, "all %d isolated workers were busy until the execution's time was over: try again, or let there be more (PICLOUD_ISOLATION_WORKERS)", p.most)
		}
	}
	w, err := p.worker(app, home)
	if err != nil {
		p.running <- struct{}{}
	}
	return w, err
}

// ran takes a worker back after a run that took d.
func (p *workers) ran(w *worker, d time.Duration) {
	w.ranFor += d
	p.release(w, w.ranFor < workerSpan)
	p.running <- struct{}{}
}

// forCompiling gives out a worker of the app until compiled is called.
func (p *workers) forCompiling(app cloud.AppID) (*worker, error) {
	select {
	case <-p.compiling:
	case <-p.quit:
		return nil, cloud.Errorf(cloud.Overloaded, stopping)
	}
	w, err := p.worker(app, nil)
	if err != nil {
		p.compiling <- struct{}{}
	}
	return w, err
}

// compiled takes it back. Without an app nobody can use it again.
func (p *workers) compiled(w *worker) {
	w.used = w.processTime()
	p.release(w, !w.app.IsZero())
	p.compiling <- struct{}{}
}

// worker takes an idle one of the app or starts one, for which an idle one of another app may
// have to end.
func (p *workers) worker(app cloud.AppID, home *worker) (*worker, error) {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil, cloud.Errorf(cloud.Overloaded, stopping)
	}
	found := -1
	for i, w := range p.idle {
		if w.app == app && (found < 0 || p.idle[found] != home) {
			found = i
		}
	}
	if found >= 0 {
		w := p.takeLocked(found)
		p.mu.Unlock()
		return w, nil
	}
	p.begun++
	gone := p.excessLocked()
	p.mu.Unlock()
	killAll(gone, endRoom)
	w, err := p.start(app)
	if w == nil { // else began has counted it
		p.mu.Lock()
		p.begun--
		p.mu.Unlock()
	}
	if err != nil {
		return nil, cloud.Errorf(cloud.Overloaded, "no process could be started for the script: try again in a moment").WithCause(fmt.Errorf("start an isolated worker: %w", err))
	}
	return w, nil
}

// excessLocked takes out the idle workers that have to end so that there are no more than may be.
func (p *workers) excessLocked() (gone []*worker) {
	count := p.begun
	for w := range p.live {
		if w.why() == "" {
			count++
		}
	}
	rested, extra := time.Now().Add(-workerRest), (p.most+3)/4
	for len(p.idle) > 0 && (count > p.most+extra || count > p.most && p.idle[0].since.Before(rested)) {
		gone = append(gone, p.takeLocked(0))
		count--
	}
	if count > p.most && len(p.idle) > 0 {
		p.sweepLocked(workerRest)
	}
	return gone
}

func killAll(list []*worker, reason string) {
	for _, w := range list {
		w.kill(reason)
	}
}

// sweepLocked has tidy come in d, at the latest.
func (p *workers) sweepLocked(d time.Duration) {
	at := time.Now().Add(d)
	if p.sweep != nil && !p.sweepAt.After(at) {
		return
	}
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.sweep, p.sweepAt = time.AfterFunc(d, p.tidy), at
}

func (p *workers) takeLocked(i int) *worker {
	w := p.idle[i]
	p.idle = append(p.idle[:i], p.idle[i+1:]...)
	return w
}

// release makes a worker idle, or ends it.
func (p *workers) release(w *worker, again bool) {
	p.mu.Lock()
	if w.why() != "" {
		p.mu.Unlock()
		return // gone
	}
	if p.closed || !again {
		why := endSpan
		if p.closed {
			why = endStop
		}
		p.mu.Unlock()
		w.kill(why)
		return
	}
	w.since = time.Now()
	p.idle = append(p.idle, w)
	p.sweepLocked(workerIdle)
	gone := p.excessLocked()
	p.mu.Unlock()
	killAll(gone, endRoom)
}

// tidy ends the workers that were not used for a while, or whose place is needed, and comes
// again while any is idle.
func (p *workers) tidy() {
	before := time.Now().Add(-workerIdle)
	var idle []*worker
	p.mu.Lock()
	p.sweep = nil
	for len(p.idle) > 0 && !p.idle[0].since.After(before) {
		idle = append(idle, p.takeLocked(0))
	}
	room := p.excessLocked()
	if len(p.idle) > 0 {
		p.sweepLocked(workerIdle / 2)
	}
	p.mu.Unlock()
	killAll(idle, endIdle)
	killAll(room, endRoom)
}

// living is how many processes there are now.
func (p *workers) living() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.live)
}

// began is told of a process that was started. It is gone again when the instance stops.
func (p *workers) began(w *worker) {
	p.mu.Lock()
	p.begun--
	p.live[w] = true
	closed := p.closed
	p.mu.Unlock()
	if closed {
		w.kill(endStop)
	}
}

// left is told that a process is gone.
func (p *workers) left(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.live, w)
	for i, x := range p.idle {
		if x == w {
			p.takeLocked(i)
			break
		}
	}
	p.ended.WithLabelValues(w.why()).Inc()
}

// close ends all workers and waits for them; runs that are under way end with them.
func (p *workers) close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.closed = true
	live := slices.Collect(maps.Keys(p.live))
	p.idle = nil
	if p.sweep != nil {
		p.sweep.Stop()
	}
	p.mu.Unlock()
	killAll(live, endStop)
	close(p.quit)
	p.all.Wait()
}

// try has a worker compile something, to find out at the start what would else fail every
// execution.
func (p *workers) try() error {
	w, err := p.forCompiling(cloud.AppID{})
	if err == nil {
		_, err = (&processEngine{workers: p, name: cloud.EngineQuickJS}).compileIn(w, false, "try", "export default () => {}")
		p.log.Info("scripts run in worker processes", "workers", p.most, "filtered", w.filtered())
		p.compiled(w)
	}
	if err != nil {
		return fmt.Errorf("PICLOUD_ISOLATION=process: %w", err)
	}
	return nil
}

// seat is the place of a context in a worker.
type seat struct {
	bytes int64
	used  time.Time // when it ran last
	busy  bool
}

// place takes a context's seat for a run, if it still has it, and says which contexts the
// worker has to close before.
func (p *workers) place(c *processContext) (shut []int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w := c.at
	if c.home == w {
		if s := w.seats[c.id]; s != nil {
			s.busy = true
		} else {
			c.home = nil
		}
	}
	w.trimLocked(p.keep)
	shut, w.shut = w.shut, nil
	return shut
}

// trimLocked closes the contexts that rested longest when those that rest hold too much.
func (w *worker) trimLocked(keep int64) {
	for {
		held, oldest := int64(0), int64(0)
		for id, s := range w.seats {
			if s.busy {
				continue
			}
			held += s.bytes
			if oldest == 0 || s.used.Before(w.seats[oldest].used) {
				oldest = id
			}
		}
		if held <= keep {
			return
		}
		delete(w.seats, oldest)
		w.shut = append(w.shut, oldest)
	}
}

// opened gives a context its seat in w; the one that it had elsewhere is closed.
func (p *workers) opened(w, before *worker, id int64) int64 {
	if before != nil {
		p.unseat(before, id)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ids++
	w.seats[p.ids] = &seat{busy: true}
	return p.ids
}

// rests notes what a context takes between runs.
func (p *workers) rests(c *processContext) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := c.at.seats[c.id]; s != nil && c.home == c.at {
		*s = seat{bytes: c.memory, used: time.Now()}
	}
}

// unseat gives a context's seat up. The worker hears of it before its next run.
func (p *workers) unseat(w *worker, id int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if w.seats[id] != nil {
		delete(w.seats, id)
		w.shut = append(w.shut, id)
	}
}
