package executor

import (
	"runtime"
	"slices"
	"sync"
	"time"
)

// overruns keep executions that compute for long from holding up those that don't. Each
// execution has a thread while it runs. The thread of one that has used a processor for some
// milliseconds gets the lowest priority, and Go one processor more to run it on: the system
// then gives the real ones at once to whoever has short work, where Go alone would let each
// of those that compute end its slice of 10 ms first. That holds for natives of the engine
// that never poll, too.
//
// A thread can't get its priority back, so it ends with its goroutine: a caller's connection
// is closed after the answer. See Result.Overran.
type overruns struct {
	processors int // of Go, at rest

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
	began   time.Time
	looked  bool
	used    time.Duration // by the thread, when it was looked at first
	lowered bool
}

const (
	// overrunLook is how often executions are looked at, while there are any.
	overrunLook = 10 * time.Millisecond
	// overrunUse is the processor time from the first look on that is too long.
	overrunUse = 4 * time.Millisecond
	// overrunRest is how long extra processors stay when nothing needs them any more: to
	// change their number stops everything for a moment.
	overrunRest = 10 * time.Second
)

func newOverruns() *overruns { return &overruns{processors: runtime.GOMAXPROCS(0)} }

// begin starts an execution on the calling goroutine, which end must follow. Nil overruns
// do nothing.
func (o *overruns) begin() *stint {
	if o == nil {
		return nil
	}
	runtime.LockOSThread()
	s := &stint{o: o, thread: threadID(), began: time.Now()}
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
	o.mu.Lock()
	defer o.mu.Unlock()
	if i := slices.Index(o.running, s); i >= 0 {
		o.running = slices.Delete(o.running, i, i+1)
	}
	if !s.lowered {
		runtime.UnlockOSThread()
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
	now := time.Now()
	for _, s := range o.running {
		if !s.lowered && now.Sub(s.began) >= overrunLook/2 && s.tooLong() && lowerThread(s.thread) {
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

func (s *stint) tooLong() bool {
	used := threadTime(s.thread)
	if !s.looked {
		s.looked, s.used = true, used
	}
	return used-s.used >= overrunUse
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
