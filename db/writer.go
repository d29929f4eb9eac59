package db

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxBatch = 256              // closures in one commit
	yields   = 3                // times that the writer lets others queue up before it commits
	yieldFor = time.Millisecond // a yield that took longer was the last: what came in between computes
)

// request is one closure on its way through the writer.
type request struct {
	ctx     context.Context // the caller's, of which the closure gets only the values
	f       func(context.Context, *Tx) error
	durable bool
	state   atomic.Int32
	done    chan struct{} // closed by the writer, when err holds

	// Of the writer's goroutine.
	tx      Tx
	err     error
	settled bool // err won't change any more
}

// The states of a request. Either the writer makes it run or its caller takes it back.
const (
	waiting int32 = iota
	running
	gone
)

func (r *request) takeBack() bool { return r.state.CompareAndSwap(waiting, gone) }

// start says whether to run it: for the first time, or again.
func (r *request) start() bool {
	return r.state.CompareAndSwap(waiting, running) || r.state.Load() == running
}

// writer runs all requests on one goroutine and one connection, in the order of their
// arrival; those that arrive while a commit is under way share the next one.
type writer struct {
	d       *DB
	conn    *conn
	queue   chan *request
	closing chan struct{} // closed: no request enters any more
	stopped chan struct{} // closed: the goroutine has ended
	once    sync.Once

	// Of the goroutine alone.
	batch      []*request // being committed
	number     uint64     // of the transaction
	shared     bool       // the last commit was of several requests
	fsync      bool       // what PRAGMA synchronous stands at
	committing bool       // the only time at which SQLite may commit
	shares     []Share    // of the last commit
}

func newWriter(d *DB) *writer {
	return &writer{
		d:       d,
		queue:   make(chan *request, maxBatch),
		closing: make(chan struct{}),
		stopped: make(chan struct{}),
		batch:   make([]*request, 0, maxBatch),
	}
}

// do hands f to the writer and waits for it.
func (w *writer) do(ctx context.Context, f func(context.Context, *Tx) error, durable bool) error {
	if err := enter(ctx); err != nil {
		return err
	}
	r := &request{ctx: ctx, f: f, durable: durable, done: make(chan struct{})}
	select {
	case <-w.closing:
		return ErrClosed
	default:
	}
	select {
	case w.queue <- r:
	case <-ctx.Done():
		return ctx.Err()
	case <-w.closing:
		return ErrClosed
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		if r.takeBack() {
			return ctx.Err()
		}
	case <-w.stopped: // it entered the queue after the last look at it
		if r.takeBack() {
			return ErrClosed
		}
	}
	<-r.done
	return r.err
}

// close lets the goroutine finish what is queued.
func (w *writer) close() error {
	var err error
	w.once.Do(func() {
		close(w.closing)
		<-w.stopped
		err = w.conn.close()
	})
	return err
}

// mayCommit is asked by SQLite before each commit on the writer's connection. An error such
// as a full disk can roll the transaction back on its own; a closure that went on regardless
// would commit each further statement by itself.
func (w *writer) mayCommit() bool { return w.committing }

// serve is the goroutine. A closure can end it (t.Fatal does), but not the writer.
func (w *writer) serve() {
	orderly := false
	defer func() {
		if orderly {
			close(w.stopped)
			return
		}
		w.abandon()
		go w.serve()
	}()
	for w.collect() {
		w.commit()
	}
	orderly = true
}

// collect waits for a request and takes along those that come with it. Where there are
// several, callers answered by the last commit get a few chances to run and queue up again:
// larger groups, fewer fsyncs. One that comes alone isn't made to wait for whoever computes.
func (w *writer) collect() bool {
	w.shared = len(w.batch) > 1
	clear(w.batch)
	w.batch = w.batch[:0]
	select {
	case r := <-w.queue:
		w.batch = append(w.batch, r)
	case <-w.closing:
		w.drain()
		return len(w.batch) > 0
	}
	w.drain()
	began := time.Now()
	for range yields {
		if len(w.batch) == maxBatch || len(w.batch) == 1 && !w.shared || time.Since(began) > yieldFor {
			break
		}
		runtime.Gosched()
		w.drain()
	}
	return true
}

func (w *writer) drain() {
	for len(w.batch) < maxBatch {
		select {
		case r := <-w.queue:
			w.batch = append(w.batch, r)
		default:
			return
		}
	}
}
