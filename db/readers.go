package db

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

const (
	keepIdle  = time.Minute     // how long a reader that nobody uses stays open; one always does
	closeWait = 5 * time.Second // how long Close waits for read transactions
)

// readers are the query-only connections: opened on demand, used last in first out, so that
// the caches of few stay warm.
type readers struct {
	pool    *sql.DB
	slots   chan struct{} // one element per reader in use; its capacity is the bound
	closing chan struct{}
	once    sync.Once

	mu    sync.Mutex
	idle  []*conn     // the one used last at the end
	timer *time.Timer // closes idle ones; nil when not running
}

func newReaders(pool *sql.DB, most int) *readers {
	return &readers{pool: pool, slots: make(chan struct{}, most), closing: make(chan struct{})}
}

// acquire waits for a free reader until ctx ends and begins a transaction on it.
func (p *readers) acquire(ctx context.Context) (*conn, error) {
	select {
	case <-p.closing:
		return nil, ErrClosed
	default:
	}
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-p.closing:
		return nil, ErrClosed
	}
	c, err := p.begin(ctx)
	if err != nil {
		<-p.slots
		return nil, fmt.Errorf("begin a read transaction: %w", err)
	}
	return c, nil
}

func (p *readers) begin(ctx context.Context) (*conn, error) {
	c := p.takeIdle()
	if c == nil {
		var err error
		if c, err = newConn(ctx, p.pool); err != nil {
			return nil, err
		}
	}
	if err := c.run("BEGIN"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (p *readers) takeIdle() *conn {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	c := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	return c
}

// release ends the transaction and gives the reader back.
func (p *readers) release(c *conn) error {
	c.finish()
	err := c.run("ROLLBACK")
	if err != nil {
		err = errors.Join(fmt.Errorf("end a read transaction: %w", err), c.close())
	} else {
		p.putIdle(c)
	}
	<-p.slots
	return err
}

func (p *readers) putIdle(c *conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.closing: // Close gave up waiting for this one
		c.close()
		return
	default:
	}
	c.idleSince = time.Now()
	p.idle = append(p.idle, c)
	if p.timer == nil && len(p.idle) > 1 {
		p.timer = time.AfterFunc(keepIdle, p.closeIdle)
	}
}

// closeIdle closes the readers that were not needed for a while, but for one.
func (p *readers) closeIdle() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer == nil {
		return // Close was faster
	}
	old := time.Now().Add(-keepIdle)
	n := 0
	for n < len(p.idle)-1 && !p.idle[n].idleSince.After(old) {
		p.idle[n].close()
		n++
	}
	p.idle = append(p.idle[:0:0], p.idle[n:]...)
	p.timer = nil
	if len(p.idle) > 1 {
		p.timer = time.AfterFunc(keepIdle, p.closeIdle)
	}
}

// close waits for the readers in use and closes all.
func (p *readers) close() error {
	var err error
	p.once.Do(func() {
		close(p.closing)
		err = errors.Join(p.wait(), p.closeAll())
	})
	return err
}

func (p *readers) wait() error {
	late := time.NewTimer(closeWait)
	defer late.Stop()
	for n := range cap(p.slots) {
		select {
		case p.slots <- struct{}{}:
		case <-late.C:
			return fmt.Errorf("%d read transactions are still open", cap(p.slots)-n)
		}
	}
	return nil
}

func (p *readers) closeAll() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.timer != nil {
		p.timer.Stop()
		p.timer = nil
	}
	var err error
	for _, c := range p.idle {
		err = errors.Join(err, c.close())
	}
	p.idle = nil
	return err
}

// View runs f in a read transaction. A View or Update inside another is an error at once.
// After ctx has ended the next statement of f fails.
func (d *DB) View(ctx context.Context, f func(context.Context, *Rx) error) (err error) {
	if err := enter(ctx); err != nil {
		return err
	}
	c, err := d.readers.acquire(ctx)
	if err != nil {
		return d.notedRead(err)
	}
	rx := &Rx{Now: d.o.Now().UTC(), pool: d.ro, conn: c, ctx: ctx}
	defer func() {
		rx.conn = nil
		err = errors.Join(d.notedRead(err), d.readers.release(c))
	}()
	return f(inside{ctx}, rx)
}

// Snapshot is a read transaction that outlives the call; it pins a reader until Close. One
// goroutine at a time uses it.
type Snapshot struct {
	*Rx
	d      *DB
	closed atomic.Bool
}

// Snapshot begins one; it waits for a free reader until ctx ends. It shows every commit
// that was announced by AfterCommit before the call, and none that begins after it returned.
func (d *DB) Snapshot(ctx context.Context) (*Snapshot, error) {
	s, err := d.SnapshotLazy(ctx)
	if err != nil {
		return nil, err
	}
	// BEGIN alone doesn't take the snapshot, the first read does.
	var any bool
	if err := s.conn.queryRow("SELECT EXISTS (SELECT 1 FROM sqlite_schema)").Scan(&any); err != nil {
		return nil, errors.Join(fmt.Errorf("take a snapshot: %w", d.notedRead(err)), s.Close())
	}
	return s, nil
}

// SnapshotLazy is Snapshot for who reads at once, or doesn't mind: what it shows is settled by
// its first statement only, which costs one statement less.
func (d *DB) SnapshotLazy(ctx context.Context) (*Snapshot, error) {
	if err := enter(ctx); err != nil {
		return nil, err
	}
	c, err := d.readers.acquire(ctx)
	if err != nil {
		return nil, d.notedRead(err)
	}
	return &Snapshot{Rx: &Rx{Now: d.o.Now().UTC(), pool: d.ro, conn: c}, d: d}, nil
}

// Noted is what an error of the snapshot's statements must go through, as those in a View do
// by themselves: it finds out whether the disk is at fault, and remembers that.
func (s *Snapshot) Noted(err error) error { return s.d.notedRead(err) }

// Close ends the snapshot; it may be called twice.
func (s *Snapshot) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	c := s.conn
	s.conn = nil
	return s.d.readers.release(c)
}
