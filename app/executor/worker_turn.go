package executor

import (
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"
)

// workerTurns keep workers that compute for long from holding up those that don't, as
// overruns do for executions in this process. A worker takes its turns without knowing: it is
// stopped and goes on by signals, which reach natives that never poll, too. What it used to
// start counts for its first run, so one that starts anew after each run is no way around.
type workerTurns struct {
	turns *turns

	mu      sync.Mutex // guards what follows
	running []*workerStint
	looking bool // a look is due
}

// workerStint is one run in a worker.
type workerStint struct {
	of   *workerTurns
	w    *worker
	over chan struct{} // closed when the run has ended
	idle sync.WaitGroup
	long bool // guarded by of.mu: it takes turns, until idle
}

// workerLook is how often workers are looked at, while any runs.
const workerLook = 5 * time.Millisecond

func newWorkerTurns() *workerTurns {
	return &workerTurns{turns: newTurns(runtime.GOMAXPROCS(0))}
}

// begin is for a worker that runs something; end must follow.
func (t *workerTurns) begin(w *worker) *workerStint {
	s := &workerStint{of: t, w: w, over: make(chan struct{})}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = append(t.running, s)
	if !t.looking {
		t.looking = true
		time.AfterFunc(workerLook, t.look)
	}
	return s
}

// end returns when nobody stops the worker any more.
func (s *workerStint) end() {
	t := s.of
	t.mu.Lock()
	i := slices.Index(t.running, s)
	t.running = slices.Delete(t.running, i, i+1)
	long := s.long
	t.mu.Unlock()
	close(s.over)
	s.idle.Wait()
	if !long {
		t.turns.pass()
	}
	s.w.used = s.w.processTime()
}

// processTime is the processor time that the worker has used.
func (w *worker) processTime() time.Duration { return processTime(w.cmd.Process.Pid) }

// look finds those that have computed for long.
func (t *workerTurns) look() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, s := range t.running {
		if !s.long && s.w.processTime()-s.w.used >= longUse {
			s.long = true
			s.idle.Go(s.takeTurns)
		}
	}
	if t.looking = len(t.running) > 0; t.looking {
		time.AfterFunc(workerLook, t.look)
	}
}

// takeTurns lets the worker run when it may, until its run is over. One that was killed
// takes no notice.
func (s *workerStint) takeTurns() {
	turn := s.of.turns.begin()
	defer turn.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if !turn.extend() {
			_ = s.w.cmd.Process.Signal(syscall.SIGSTOP)
			turn.wait(s.over)
			_ = s.w.cmd.Process.Signal(syscall.SIGCONT)
		}
		timer.Reset(time.Until(turn.until))
		select {
		case <-timer.C:
		case <-s.over:
			return
		}
	}
}
