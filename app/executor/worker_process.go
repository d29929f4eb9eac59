package executor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"picloud/app/cloud"
)

// worker is the instance's side of one worker process. One execution or compilation uses it
// at a time.
type worker struct {
	p    *workers
	app  cloud.AppID
	cmd  *exec.Cmd
	conn *os.File
	in   *frames
	out  message
	gone chan struct{} // closed when the process has been waited for

	ranFor time.Duration // of its runs
	used   time.Duration // of processors, when its last run ended
	since  time.Time     // it is idle
	seats  map[int64]*seat
	shut   []int64 // contexts to close

	words  tail // the last ones on its standard error; read them after gone
	end    atomic.Pointer[string]
	ending sync.Once
}

// Why a worker ended: by the instance's hand, or by itself.
const (
	endIdle      = "idle"      // nobody needed it
	endRoom      = "room"      // another app needed its place
	endSpan      = "span"      // it had run scripts for workerSpan
	endStop      = "stop"      // the instance stops
	endTime      = "timeout"   // a run went on after its deadline
	endCancelled = "cancelled" // a run was called off
	endNonsense  = "nonsense"  // it said what no worker says
	endMemory    = "memory"    // it used up its memory
	endCPU       = "cpu"       // it used up its processor time
	endFault     = "fault"     // it crashed
	endLost      = "lost"      // somebody else killed it
)

// why is the reason for which the worker ended or must end; "" while it lives.
func (w *worker) why() string {
	if s := w.end.Load(); s != nil {
		return *s
	}
	return ""
}

// kill ends the process at once; the first reason counts.
func (w *worker) kill(reason string) {
	if w.end.CompareAndSwap(nil, &reason) {
		_ = w.cmd.Process.Kill() // it may be gone already
		_ = w.conn.Close()       // ends reads and writes that are under way
	}
}

// killAfter kills the worker for being late at a moment, unless it is called off before.
func (w *worker) killAfter(t time.Time) (callOff func()) {
	timer := time.AfterFunc(time.Until(t), func() { w.kill(endTime) })
	return func() { timer.Stop() }
}

// send writes what is in out.
func (w *worker) send() error {
	_, err := w.conn.Write(w.out.b)
	w.out.b = w.out.b[:0]
	if cap(w.out.b) > frameStep {
		w.out.b = nil
	}
	return err
}

// wait waits for the process's end, and makes sure that it comes.
func (w *worker) wait() {
	select {
	case <-w.gone: // a socket ends a moment before its process
		return
	case <-time.After(workerGrace):
	}
	w.kill(endNonsense)
	<-w.gone
}

// reap waits for the process.
func (w *worker) reap() {
	err := w.cmd.Wait()
	reason := endOf(w.cmd.ProcessState, w.words.String())
	byItself := w.end.CompareAndSwap(nil, &reason)
	_ = w.conn.Close()
	w.p.left(w)
	close(w.gone)
	if byItself {
		w.p.log.Warn("isolated worker ended", "app", w.app, "reason", reason, "err", err, "words", w.words.String())
	} else if w.why() == endNonsense {
		w.p.log.Error("isolated worker killed: it broke the protocol", "app", w.app)
	}
}

// lostWorker is the end of a worker that somebody outside killed: no fault of its script.
type lostWorker struct{ error }

func (e *lostWorker) Unwrap() error { return e.error }

// lost is the error of such an end, or nil.
func (w *worker) lost() error {
	if w.why() != endLost {
		return nil
	}
	return &lostWorker{cloud.Errorf(cloud.Overloaded, "the process that ran the script was killed from outside, as when the machine is out of memory: nothing of the execution was kept, try again")}
}

// fault is the error of a worker that crashed.
func (w *worker) fault(err error) error {
	return fmt.Errorf("isolated worker ended (%s): %w: %s", w.why(), errors.Join(err), w.words.String())
}
