package executor

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// overruns keep executions that compute for long from holding up those that don't: they take
// turns, where the engine polls, and yield to everybody, natives that never poll, too. For
// that, each execution has a thread while it runs. The thread of one that has used a
// processor for some milliseconds gets a low priority, and Go one processor more to run it
// on: the system then shares out the real ones, where Go alone would let each of those that
// compute end its slice of 10 ms first.
//
// A thread can't get its priority back, so it ends with its goroutine: a caller's connection
// is closed after the answer. See Result.Overran.
type overruns struct {
	processors int // of Go, at rest
	turns      *turns

	mu      sync.Mutex // guards what follows
	running []*stint
	lowered int         // of running
	extra   int         // processors beside those at rest
	looking bool        // a look is due
	rest    *time.Timer // takes extra processors back
}

// stint is one execution on its thread.
type stint struct {
	o       *overruns
	thread  int
	before  time.Duration // processor time of the thread until it began
	turn    *turn         // nil: it hasn't computed for long, or the engine doesn't poll
	lowered bool          // guarded by o.mu
}

const (
	// overrunLook is how often executions are looked at, while there are any.
	overrunLook = 10 * time.Millisecond
	// longUse is the processor time after which an execution takes turns.
	longUse = 4 * time.Millisecond
	// overrunUse is the one after which its thread gets a low priority.
	overrunUse = 10 * time.Millisecond
	// overrunRest is how long extra processors stay when nothing needs them any more: to
	// change their number stops everything for a moment.
	overrunRest = 10 * time.Second
)

func newOverruns() *overruns {
	n := runtime.GOMAXPROCS(0)
	return &overruns{processors: n, turns: newTurns(n)}
}

// begin starts an execution on the calling goroutine, which end must follow. Nil overruns
// do nothing.
func (o *overruns) begin() *stint {
	if o == nil {
		return nil
	}
	runtime.LockOSThread()
	s := &stint{o: o, thread: threadID()}
	s.before = threadTime(s.thread)
	o.mu.Lock()
	defer o.mu.Unlock()
	o.running = append(o.running, s)
	if !o.looking && s.thread != 0 {
		o.looking = true
		time.AfterFunc(overrunLook, o.look)
	}
	return s
}

// end reports whether the execution overran: then the calling goroutine keeps its thread, and
// should end soon.
func (s *stint) end() (overran bool) {
	if s == nil {
		return false
	}
	o := s.o
	if s.turn != nil {
		s.turn.end()
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.running, s); i >= 0 {
		o.running = slices.Delete(o.running, i, i+1)
	}
	if !s.lowered {
		runtime.UnlockOSThread()
		if s.turn == nil {
			o.turns.pass()
		}
		return false
	}
	o.lowered--
	if o.lowered == 0 {
		o.rest = time.AfterFunc(overrunRest, o.takeBack)
	}
	return true
}

// look lowers the threads of executions that have become too long.
func (o *overruns) look() {
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, s := range o.running {
		if !s.lowered && s.used() >= overrunUse && lowerThread(s.thread) {
			s.lowered = true
			o.lowered++
		}
	}
	if o.lowered > 0 && o.rest != nil {
		o.rest.Stop()
		o.rest = nil
	}
	if o.lowered > o.extra {
		o.extra = o.lowered
		runtime.GOMAXPROCS(o.processors + o.extra)
	}
	if o.looking = len(o.running) > 0; o.looking {
		time.AfterFunc(overrunLook, o.look)
	}
}

// used is the processor time of the execution.
func (s *stint) used() time.Duration { return threadTime(s.thread) - s.before }

// computes is called by the engine, on the execution's goroutine, again and again while a
// script computes. It returns when that may go on, or ctx is over.
func (s *stint) computes(ctx context.Context) {
	if s == nil {
		return
	}
	if s.turn == nil {
		if s.used() < longUse {
			return
		}
		s.turn = s.o.turns.begin()
	}
	s.turn.wait(ctx.Done())
}

// takeBack leaves Go the processors that there are.
func (o *overruns) takeBack() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lowered == 0 && o.extra > 0 {
		o.extra = 0
		runtime.GOMAXPROCS(o.processors)
	}
}
