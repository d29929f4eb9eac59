package executor

import (
	"container/list"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
)

// Gate bounds how many executions run at once. It is the outbox.Gate: callers who wait come
// first, in order; async work gets what they leave. While callers come, it keeps a processor
// clear for them: it takes no more permits than there are other processors. When they leave
// nothing it still gets that many, or a quarter of the permits if those are fewer, so that
// neither starves.
type Gate struct {
	size, queue int
	wait        time.Duration
	spare       int           // processors that async work may keep busy while callers come
	freed       chan struct{} // capacity 1
	rejected    atomic.Int64

	// mu guards what follows.
	mu      sync.Mutex
	inUse   int
	async   int        // of inUse
	away    int        // of async: they wait for the outside world, and use no processor
	called  time.Time  // when a caller entered last
	callers *list.List // of chan struct{} (capacity 1): Enter, in order
	reruns  *list.List // the same: Reenter, ahead of callers
	hungry  bool       // TryEnter gave less than asked for since a permit was last offered
	offer   *time.Timer
	lull    *time.Timer // set while async work holds back for callers
}

// GateOptions of NewGate. Zero values are the defaults.
type GateOptions struct {
	Size  int           // permits; 0: 4 x cores, at least 8
	Wait  time.Duration // how long a caller waits for one; 0: 1 s
	Queue int           // callers that wait at most; 0: 1024
	Cores int           // processors to share with callers; 0: as many as there are
}

// DefaultGateSize is the number of permits when nobody sets it.
func DefaultGateSize() int { return max(8, 4*runtime.GOMAXPROCS(0)) }

// NewGate makes an open gate.
func NewGate(o GateOptions) *Gate {
	g := &Gate{size: o.Size, queue: o.Queue, wait: o.Wait, freed: make(chan struct{}, 1), callers: list.New(), reruns: list.New()}
	if g.size <= 0 {
		g.size = DefaultGateSize()
	}
	if g.queue <= 0 {
		g.queue = 1024
	}
	if g.wait <= 0 {
		g.wait = time.Second
	}
	if o.Cores <= 0 {
		o.Cores = runtime.GOMAXPROCS(0)
	}
	g.spare = max(o.Cores-1, 1)
	return g
}

// offerTime is how long a permit is held out to async work while callers wait.
const offerTime = 5 * time.Millisecond

// lullTime is how long after a caller the next one is expected: until it is over, async work
// leaves a processor clear. A handler that computes holds its processor for a scheduling
// slice, and a request that comes meanwhile would wait that long.
const lullTime = 100 * time.Millisecond

// Enter takes a permit for a caller who waits. It fails with Overloaded when the queue is
// full or the wait too long.
func (g *Gate) Enter(ctx context.Context) error {
	now := time.Now()
	g.mu.Lock()
	g.called = now
	if g.inUse < g.size && g.callers.Len() == 0 && g.reruns.Len() == 0 {
		g.inUse++
		g.mu.Unlock()
		return nil
	}
	if g.callers.Len() >= g.queue {
		g.mu.Unlock()
		return g.reject("too many callers wait already")
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	return g.line(ctx, g.callers, timer.C)
}

// Reenter takes a permit ahead of all callers, for a run that starts again.
func (g *Gate) Reenter(ctx context.Context) error {
	g.mu.Lock()
	if g.inUse < g.size && g.reruns.Len() == 0 {
		g.inUse++
		g.mu.Unlock()
		return nil
	}
	return g.line(ctx, g.reruns, nil)
}

// line waits at the end of a queue. It is called with mu held and gives it up.
func (g *Gate) line(ctx context.Context, queue *list.List, timeout <-chan time.Time) error {
	granted := make(chan struct{}, 1)
	e := queue.PushBack(granted)
	g.grantLocked()
	g.mu.Unlock()
	var why string
	select {
	case <-granted:
		return nil
	case <-ctx.Done():
		why = "the caller gave up"
	case <-timeout:
		why = "no permit became free in time"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-granted: // at the same moment
		if ctx.Err() == nil {
			return nil
		}
		g.inUse--
		g.grantLocked()
	default:
		queue.Remove(e)
	}
	return g.reject(why)
}

func (g *Gate) reject(why string) error {
	g.rejected.Add(1)
	return cloud.Errorf(cloud.Overloaded, "the instance runs as many executions as it may: %s, try again in a second", why)
}

// grantLocked hands free permits out: to re-runs, then to callers, except that hungry async
// work below its quarter is offered one first.
func (g *Gate) grantLocked() {
	for g.inUse < g.size {
		queue := g.reruns
		if queue.Len() == 0 {
			if queue = g.callers; queue.Len() == 0 {
				break
			}
			if g.hungry && g.async < min(max(g.size/4, 1), g.spare) {
				g.offerLocked()
				return
			}
		}
		g.inUse++
		queue.Remove(queue.Front()).(chan struct{}) <- struct{}{}
	}
	g.feedLocked()
}

// feedLocked tells hungry async work when there is something for it.
func (g *Gate) feedLocked() {
	if g.hungry && g.inUse < g.size && g.roomLocked(time.Now()) > 0 {
		g.hungry = false
		g.signal()
	}
}

// roomLocked is how many more permits async work may take.
func (g *Gate) roomLocked(now time.Time) int {
	room := g.size - g.inUse
	if g.callersLocked(now) {
		room = min(room, g.spare-(g.async-g.away))
	}
	if g.callers.Len() > 0 || g.reruns.Len() > 0 {
		room = min(room, max(g.size*3/4, 1)-g.async, 1) // what was offered
	}
	return max(room, 0)
}

// callersLocked reports whether more callers are expected.
func (g *Gate) callersLocked(now time.Time) bool { return now.Sub(g.called) < lullTime }

// offerLocked holds a free permit out to async work; when it isn't taken soon a caller gets it.
func (g *Gate) offerLocked() {
	if g.offer != nil {
		return
	}
	g.signal()
	g.offer = time.AfterFunc(offerTime, func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.offer != nil {
			g.offer, g.hungry = nil, false
			g.grantLocked()
		}
	})
}

func (g *Gate) signal() {
	select {
	case g.freed <- struct{}{}:
	default:
	}
}

// TryEnter takes up to n permits for async work and says how many.
func (g *Gate) TryEnter(n int) int {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	got := min(n, g.roomLocked(now))
	g.inUse += got
	g.async += got
	if g.hungry = got < n; g.hungry && g.callersLocked(now) {
		g.lookAgainLocked(now)
	}
	if g.offer != nil {
		g.offer.Stop()
		g.offer = nil
		g.grantLocked()
	}
	return got
}

// Callers reports whether a caller came so lately that the next one is expected.
func (g *Gate) Callers() bool {
	now := time.Now()
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.callersLocked(now)
}

// lookAgainLocked feeds async work once callers have stopped coming.
func (g *Gate) lookAgainLocked(now time.Time) {
	if g.lull != nil {
		return
	}
	g.lull = time.AfterFunc(lullTime-now.Sub(g.called), func() {
		now := time.Now()
		g.mu.Lock()
		defer g.mu.Unlock()
		g.lull = nil
		if g.hungry && g.callersLocked(now) {
			g.lookAgainLocked(now)
			return
		}
		g.feedLocked()
	})
}

// Away says that an execution waits for the outside world, such as an answer of another
// server; back says that it goes on. In between it keeps its permit, which bounds memory, but
// among async work it counts as one that uses no processor.
func (g *Gate) Away(async bool) (back func()) {
	if !async {
		return func() {}
	}
	g.awayBy(1)
	return func() { g.awayBy(-1) }
}

func (g *Gate) awayBy(n int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.away += n
	g.feedLocked()
}

// Leave gives back one permit, of TryEnter when async is set.
func (g *Gate) Leave(async bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inUse--
	if async {
		g.async--
	}
	if g.callers.Len() > 0 || g.reruns.Len() > 0 || g.hungry {
		g.grantLocked()
	}
}

// Freed has a value after a permit became free that async work wanted and may use.
func (g *Gate) Freed() <-chan struct{} { return g.freed }

// GateStats is the gate at one moment.
type GateStats struct {
	Capacity, InUse, Async, Waiting int
	Rejected                        int64 // since the start
}

// Stats is the gate at this moment.
func (g *Gate) Stats() GateStats {
	g.mu.Lock()
	defer g.mu.Unlock()
	return GateStats{Capacity: g.size, InUse: g.inUse, Async: g.async, Waiting: g.callers.Len() + g.reruns.Len(), Rejected: g.rejected.Load()}
}
