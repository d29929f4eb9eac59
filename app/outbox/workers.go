package outbox

import (
	"context"
	"runtime"
	"sync"
	"time"
)

// workers run claimed rows. While callers come, each row runs on a thread of its own that
// yields to every other: the system then gives a processor at once to a request that comes
// while handlers compute, where it would else wait for the end of their scheduling slice. A
// thread can't get its priority back, so such threads are kept for the next rows.
//
// Otherwise rows run on plain goroutines: a thread of one's own makes the way of an empty
// row through the outbox twice as long.
type workers struct {
	rows chan func() // unbuffered: a thread that waits takes the next row
	busy sync.WaitGroup
}

// workerRest is how long a thread waits for its next row.
const workerRest = 10 * time.Second

// run runs f; polite, on a thread that yields. life ends those that wait for a row.
func (w *workers) run(life context.Context, polite bool, f func()) {
	if !polite {
		w.busy.Go(f)
		return
	}
	w.busy.Add(1)
	select {
	case w.rows <- f:
	default:
		go w.serve(life, f)
	}
}

func (w *workers) serve(life context.Context, f func()) {
	runtime.LockOSThread() // for good: the thread ends with the goroutine
	yieldThread()
	rest := time.NewTimer(workerRest)
	defer rest.Stop()
	for {
		w.do(f)
		rest.Reset(workerRest)
		select {
		case f = <-w.rows:
		case <-rest.C:
			return
		case <-life.Done():
			return
		}
	}
}

func (w *workers) do(f func()) {
	defer w.busy.Done()
	f()
}
