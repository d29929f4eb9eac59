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
// neither starves. It doesn't take the last permit, unless there are very few.
//
// No app's callers shut out another's: a permit goes to the app that holds fewest, and while
// several apps call, those that hold permits leave a third as many free. See mayHave.
type Gate struct {
	size, queue int
	wait        time.Duration
	spare       int           // processors that async work may keep busy while callers come
	freed       chan struct{} // capacity 1
	rejected    atomic.Int64

	// mu guards what follows.
	mu      sync.Mutex
	inUse   int
	async   int                    // of inUse
	away    int                    // of async: they wait for the outside world, and use no processor
	called  time.Time              // when a caller entered last
	caller  cloud.AppID            // whose it was
	mixed   time.Time              // when one entered after another app's
	apps    map[cloud.AppID]*share // with callers that hold permits or wait
	callers int                    // that wait, of all apps
	reruns  int                    // the same
	turn    uint64                 // of who came last
	hungry  bool                   // TryEnter gave less than asked for since a permit was last offered
	offer   *time.Timer
	lull    *time.Timer // set while async work holds back for callers
}

// share is what one app's callers have of the gate.
type share struct {
	app     cloud.AppID
	held    int       // permits
	callers list.List // of *waiter: Enter, in order
	reruns  list.List // the same: Reenter, ahead of the app's callers
}

// waiter waits for a permit.
type waiter struct {
	granted chan struct{} // capacity 1
	turn    uint64
}

func (s *share) next() *list.List {
	if s.reruns.Len() > 0 {
		return &s.reruns
	}
	return &s.callers
}

// mixedTime is how long apps keep places for each other after callers of several came: one that
// has the instance to itself may fill it.
const mixedTime = time.Minute

// mayHave reports whether who has some may get one more, of which free are left now. When
// several share them, only if that leaves a third as many as they have: the first gets three
// quarters, and each one that joins finds something, unless log(size) apps take what they can.
func mayHave(has, free int, several bool) bool {
	if several {
		free -= (has + 2) / 3
	}
	return free > 0
}

func (g *Gate) severalLocked(now time.Time) bool {
	return !g.mixed.IsZero() && now.Sub(g.mixed) < mixedTime
}

// calledLocked notes a caller of app.
func (g *Gate) calledLocked(app cloud.AppID, now time.Time) {
	if app != g.caller && !g.called.IsZero() {
		g.mixed = now
	}
	g.called, g.caller = now, app
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
	g := &Gate{size: o.Size, queue: o.Queue, wait: o.Wait, freed: make(chan struct{}, 1), apps: map[cloud.AppID]*share{}}
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

// Enter takes a permit for a caller of app who waits. It fails with Overloaded when the queue
// is full, for this app or for all, or the wait too long.
func (g *Gate) Enter(ctx context.Context, app cloud.AppID) error {
	now := time.Now()
	g.mu.Lock()
	g.calledLocked(app, now)
	s, several := g.shareLocked(app), g.severalLocked(now)
	if s.callers.Len()+s.reruns.Len() == 0 && mayHave(s.held, g.size-g.inUse, several) {
		s.held++
		g.inUse++
		g.mu.Unlock()
		return nil
	}
	if !mayHave(s.callers.Len(), g.queue-g.callers, several) {
		g.doneLocked(s)
		g.mu.Unlock()
		return g.reject("too many callers wait already")
	}
	timer := time.NewTimer(g.wait)
	defer timer.Stop()
	return g.line(ctx, s, &s.callers, &g.callers, timer.C)
}

// Reenter takes a permit ahead of the app's callers, for a run that starts again.
func (g *Gate) Reenter(ctx context.Context, app cloud.AppID) error {
	g.mu.Lock()
	s := g.shareLocked(app)
	if s.reruns.Len() == 0 && mayHave(s.held, g.size-g.inUse, g.severalLocked(time.Now())) {
		s.held++
		g.inUse++
		g.mu.Unlock()
		return nil
	}
	return g.line(ctx, s, &s.reruns, &g.reruns, nil)
}

func (g *Gate) shareLocked(app cloud.AppID) *share {
	s := g.apps[app]
	if s == nil {
		s = &share{app: app}
		g.apps[app] = s
	}
	return s
}

// doneLocked forgets an app that has nothing of the gate any more.
func (g *Gate) doneLocked(s *share) {
	if s.held == 0 && s.callers.Len() == 0 && s.reruns.Len() == 0 {
		delete(g.apps, s.app)
	}
}

// line waits at the end of a queue, whose length waiting counts, too. It is called with mu
// held and gives it up.
func (g *Gate) line(ctx context.Context, s *share, queue *list.List, waiting *int, timeout <-chan time.Time) error {
	g.turn++
	w := &waiter{granted: make(chan struct{}, 1), turn: g.turn}
	e := queue.PushBack(w)
	*waiting++
	g.grantLocked()
	g.mu.Unlock()
	var why string
	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
		why = "the caller gave up"
	case <-timeout:
		why = "no permit became free in time"
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-w.granted: // at the same moment
		if ctx.Err() == nil {
			return nil
		}
		g.exitLocked(s)
	default:
		queue.Remove(e)
		*waiting--
		g.doneLocked(s)
	}
	return g.reject(why)
}

func (g *Gate) reject(why string) error {
	g.rejected.Add(1)
	return cloud.Errorf(cloud.Overloaded, "the instance runs as many executions as it may: %s, try again in a second", why)
}

// grantLocked hands free permits out to those who wait, except that hungry async work below
// its quarter is offered one ahead of callers.
func (g *Gate) grantLocked() {
	for g.inUse < g.size {
		s := g.nextLocked()
		if s == nil {
			break
		}
		queue, waiting := s.next(), &g.callers
		if queue == &s.reruns {
			waiting = &g.reruns
		} else if g.hungry && g.async < min(max(g.size/4, 1), g.spare) {
			g.offerLocked()
			return
		}
		g.inUse++
		s.held++
		*waiting--
		queue.Remove(queue.Front()).(*waiter).granted <- struct{}{}
	}
	g.feedLocked()
}

// nextLocked is the app that gets the next free permit: of those that wait and may have one
// more, the one that holds fewest; among equals, whose turn is longest ago.
func (g *Gate) nextLocked() (next *share) {
	if g.callers+g.reruns == 0 {
		return nil
	}
	several := g.severalLocked(time.Now())
	for _, s := range g.apps {
		if s.next().Len() == 0 || !mayHave(s.held, g.size-g.inUse, several) {
			continue
		}
		if next == nil || s.held < next.held || s.held == next.held && s.turn() < next.turn() {
			next = s
		}
	}
	return next
}

// turn is when the first that waits came.
func (s *share) turn() uint64 { return s.next().Front().Value.(*waiter).turn }

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
	if g.callers > 0 || g.reruns > 0 {
		room = min(room, max(g.size*3/4, 1)-g.async, 1) // what was offered
	} else if g.size >= 4 {
		room = min(room, g.size-g.inUse-1) // a caller who comes finds the last one
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

// Exit gives back one permit of Enter or Reenter.
func (g *Gate) Exit(app cloud.AppID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.exitLocked(g.apps[app])
}

func (g *Gate) exitLocked(s *share) {
	s.held--
	g.inUse--
	g.doneLocked(s)
	g.leftLocked()
}

// Leave gives back one permit of TryEnter.
func (g *Gate) Leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.inUse--
	g.async--
	g.leftLocked()
}

func (g *Gate) leftLocked() {
	if g.callers > 0 || g.reruns > 0 || g.hungry {
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
	return GateStats{Capacity: g.size, InUse: g.inUse, Async: g.async, Waiting: g.callers + g.reruns, Rejected: g.rejected.Load()}
}
