package replica

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/benbjohnson/litestream"
	"github.com/superfly/ltx"
)

const (
	callTimeout = 30 * time.Second // of one remote call; uploads get more by their size
	leastRate   = 8 << 10          // bytes per second: an upload that is slower has failed
	streamIdle  = 5 * time.Minute  // how long an upload of unknown size may stand still
	maxHung     = 8                // calls that never returned, after which no more are begun
)

// guard is a client whose calls end: an endpoint that takes a connection and never answers
// would hold the library for good (its own limit is 24 hours). It counts the calls, remembers
// how they went, and writes only while the lease is held.
type guard struct {
	timeout time.Duration                            // of one call
	fresh   func() (litestream.ReplicaClient, error) // another client of the same target
	client  atomic.Pointer[litestream.ReplicaClient]
	hung    atomic.Int32 // calls given up on that have not returned
	health  *health
	lease   *lease // nil: nothing to hold
	logger  atomic.Pointer[slog.Logger]
}

func newGuard(fresh func() (litestream.ReplicaClient, error), h *health, l *lease) (*guard, error) {
	c, err := fresh()
	if err != nil {
		return nil, err
	}
	g := &guard{timeout: callTimeout, fresh: fresh, health: h, lease: l}
	g.client.Store(&c)
	return g, nil
}

func (g *guard) inner() litestream.ReplicaClient { return *g.client.Load() }

func (g *guard) Type() string { return g.inner().Type() }

func (g *guard) SetLogger(l *slog.Logger) {
	g.logger.Store(l)
	g.inner().SetLogger(l)
}

// do runs a call within d. When it does not return by then, its goroutine is left behind
// with its client (sftp and file systems can't be interrupted), and a fresh client takes over.
func (g *guard) do(ctx context.Context, d time.Duration, call func(context.Context, litestream.ReplicaClient) error) error {
	if n := g.hung.Load(); n >= maxHung {
		return g.health.note(fmt.Errorf("%d calls to the target never returned: waiting for one of them", n))
	}
	ctx, cancel := context.WithTimeoutCause(ctx, d, errNoAnswer)
	defer cancel()
	c := g.inner()
	done := make(chan error, 1)
	go func() { done <- call(ctx, c) }()
	select {
	case err := <-done:
		if err != nil && context.Cause(ctx) == errNoAnswer {
			err = errNoAnswer
		}
		return g.health.note(err)
	case <-ctx.Done():
	}
	select {
	case err := <-done: // it heeds its context, or was just done
		if err != nil {
			err = context.Cause(ctx)
		}
		return g.health.note(err)
	case <-time.After(time.Second):
	}
	g.abandon(done)
	return g.health.note(context.Cause(ctx))
}

var errNoAnswer = errors.New("the target took the connection and did not answer in time")

func (g *guard) abandon(done <-chan error) {
	g.hung.Add(1)
	go func() {
		<-done
		g.hung.Add(-1)
	}()
	c, err := g.fresh()
	if err != nil {
		return // it could be made once, from the same settings
	}
	if l := g.logger.Load(); l != nil {
		c.SetLogger(l)
	}
	g.client.Store(&c)
}

// Init connects, where the client needs that.
func (g *guard) Init(ctx context.Context) error {
	return g.do(ctx, g.timeout, func(ctx context.Context, c litestream.ReplicaClient) error { return c.Init(ctx) })
}

// LTXFiles lists a level. The pages are fetched as the iterator goes on, so the limit is on
// the time between two of them.
func (g *guard) LTXFiles(ctx context.Context, level int, seek ltx.TXID, metadata bool) (ltx.FileIterator, error) {
	g.health.lists.Add(1)
	paged, cancel := context.WithCancelCause(ctx)
	var it ltx.FileIterator
	err := g.do(ctx, g.timeout, func(_ context.Context, c litestream.ReplicaClient) (err error) {
		it, err = c.LTXFiles(paged, level, seek, metadata)
		return err
	})
	if err != nil {
		cancel(err)
		return nil, err
	}
	late := time.AfterFunc(g.timeout, func() { cancel(errNoAnswer) })
	return &listing{FileIterator: it, g: g, ctx: paged, cancel: cancel, late: late}, nil
}

type listing struct {
	ltx.FileIterator
	g      *guard
	ctx    context.Context
	cancel context.CancelCauseFunc
	late   *time.Timer
	closed bool
}

func (l *listing) Next() bool {
	more := l.FileIterator.Next()
	if more {
		l.late.Reset(l.g.timeout)
	}
	return more
}

func (l *listing) Close() error {
	err := errors.Join(l.FileIterator.Err(), l.FileIterator.Close())
	if err != nil && context.Cause(l.ctx) == errNoAnswer {
		err = errNoAnswer
	}
	l.late.Stop()
	l.cancel(nil)
	if l.closed {
		return err
	}
	l.closed = true
	return l.g.health.note(err)
}

// OpenLTXFile opens a file. Who reads it bounds the reading: the library gives up on one that
// stands still for 30 s and opens it again.
func (g *guard) OpenLTXFile(ctx context.Context, level int, from, to ltx.TXID, offset, size int64) (io.ReadCloser, error) {
	g.health.gets.Add(1)
	type opened struct {
		rc  io.ReadCloser
		err error
	}
	reading, cancel := context.WithCancel(ctx)
	out := make(chan opened, 1)
	err := g.do(ctx, g.timeout, func(_ context.Context, c litestream.ReplicaClient) error {
		rc, err := c.OpenLTXFile(reading, level, from, to, offset, size)
		out <- opened{rc, err}
		return err
	})
	if err != nil {
		cancel()
		return nil, err
	}
	return &reader{(<-out).rc, cancel}, nil
}

type reader struct {
	io.ReadCloser
	cancel context.CancelFunc
}

func (r *reader) Close() error {
	defer r.cancel()
	return r.ReadCloser.Close()
}

// WriteLTXFile stores a file. One of known size may take as long as leastRate allows; a
// stream, as long as it moves.
func (g *guard) WriteLTXFile(ctx context.Context, level int, from, to ltx.TXID, r io.Reader) (info *ltx.FileInfo, err error) {
	if err := g.lease.ensure(ctx); err != nil {
		return nil, g.health.note(err)
	}
	g.health.puts.Add(1)
	limit := 24 * time.Hour
	if s, ok := r.(io.ReadSeeker); ok { // stays one, so that the call can be made again
		size, err := s.Seek(0, io.SeekEnd)
		if err == nil {
			_, err = s.Seek(0, io.SeekStart)
		}
		if err != nil {
			return nil, err
		}
		limit = g.timeout + time.Duration(size/leastRate)*time.Second
	} else {
		var cancel context.CancelCauseFunc
		ctx, cancel = context.WithCancelCause(ctx)
		defer cancel(nil)
		still := time.AfterFunc(streamIdle, func() { cancel(errNoAnswer) })
		defer still.Stop()
		r = &moving{r, still}
	}
	written := make(chan *ltx.FileInfo, 1)
	err = g.do(ctx, limit, func(ctx context.Context, c litestream.ReplicaClient) error {
		info, err := c.WriteLTXFile(ctx, level, from, to, r)
		written <- info
		return err
	})
	if err != nil {
		return nil, err
	}
	return <-written, nil
}

// moving pushes a timer on while bytes flow.
type moving struct {
	io.Reader
	still *time.Timer
}

func (m *moving) Read(p []byte) (int, error) {
	n, err := m.Reader.Read(p)
	m.still.Reset(streamIdle)
	return n, err
}

func (g *guard) DeleteLTXFiles(ctx context.Context, files []*ltx.FileInfo) error {
	if len(files) == 0 {
		return nil
	}
	if err := g.lease.ensure(ctx); err != nil {
		return g.health.note(err)
	}
	g.health.deletes.Add(1)
	return g.do(ctx, g.timeout, func(ctx context.Context, c litestream.ReplicaClient) error { return c.DeleteLTXFiles(ctx, files) })
}

// DeleteAll is refused: nothing here has a reason to delete a whole replica.
func (g *guard) DeleteAll(context.Context) error {
	return errors.New("a replica is not deleted as a whole")
}
