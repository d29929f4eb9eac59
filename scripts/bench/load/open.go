package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Kind is one kind of request of an open-loop run.
type Kind struct {
	Name    string
	Share   int    // among the shares of all kinds
	Request []byte // in which the last Number becomes that of the arrival
}

// Number stands for the number of an arrival in a request, so that requests differ.
const Number = "0000000000"

// Open says what an open-loop run does: requests arrive at a constant rate whatever becomes
// of those before. Each one's latency counts from the moment at which it was due, so one that
// waits, here or in the server, has waited.
type Open struct {
	Addr     string
	Kinds    []Kind
	Rate     float64       // arrivals per second
	Conns    int           // 128; arrivals that find none free wait for one
	Warmup   time.Duration // before what is counted
	Duration time.Duration // of what is counted
}

// OpenResult is what an open-loop run found, without the warm-up.
type OpenResult struct {
	Arrivals int
	Achieved float64 // 2xx answers per second, in the time in which Arrivals were due
	Failures int     // other answers, broken connections, and what had no answer in the end
	First    error   // of the failures
	All      Histogram
	Kinds    []Histogram // by the index of the kind
	Start    time.Time   // when the arrival number 0, of the warm-up, was due
}

// drainWait is how long a run waits for the last answers.
const drainWait = 10 * time.Second

// Run does it.
func (o Open) Run() (*OpenResult, error) {
	if o.Conns == 0 {
		o.Conns = 128
	}
	r := &openRun{o: o, pattern: pattern(o.Kinds), drained: make(chan struct{})}
	r.res.Kinds = make([]Histogram, len(o.Kinds))
	for _, k := range o.Kinds {
		r.at = append(r.at, bytes.LastIndex(k.Request, []byte(Number)))
	}
	var readers sync.WaitGroup
	defer readers.Wait()
	defer r.closeAll()
	for range o.Conns {
		c := &openConn{r: r}
		if err := c.dial(); err != nil {
			return nil, err
		}
		r.conns = append(r.conns, c)
		r.idle = append(r.idle, c)
		readers.Go(c.serve)
	}
	interval := float64(time.Second) / o.Rate
	r.total = int(float64(o.Warmup+o.Duration) / interval)
	r.res.Start = time.Now()
	r.from, r.to = r.res.Start.Add(o.Warmup), r.res.Start.Add(o.Warmup+o.Duration)
	pace(r.total, func(n int) time.Time { return r.res.Start.Add(time.Duration(float64(n) * interval)) }, r.arrive)
	select {
	case <-r.drained:
	case <-time.After(drainWait):
	}
	return r.result(), nil
}

// pattern is an order of kinds in which each has its share, spread evenly.
func pattern(kinds []Kind) []int {
	sum, due := 0, make([]int, len(kinds))
	for _, k := range kinds {
		sum += k.Share
	}
	var order []int
	for range sum {
		next := 0
		for i, k := range kinds {
			if due[i] += k.Share; due[i] > due[next] {
				next = i
			}
		}
		due[next] -= sum
		order = append(order, next)
	}
	return order
}

// arrival is one request that is due, or under way.
type arrival struct {
	n, kind int
	due     time.Time
}

// openRun is a run under way.
type openRun struct {
	o        Open
	pattern  []int
	at       []int // where each kind's request has its number; -1: it has none
	total    int
	from, to time.Time
	conns    []*openConn
	drained  chan struct{} // closed when every arrival has its answer

	mu       sync.Mutex // guards what follows, and the current of each connection
	idle     []*openConn
	waiting  []arrival
	answered int // arrivals, with those of the warm-up
	in       int // 2xx answers between from and to
	closed   bool
	res      OpenResult
}

// arrive sends the request n on a free connection, or lets it wait for one.
func (r *openRun) arrive(n int, due time.Time) {
	a := arrival{n, r.pattern[n%len(r.pattern)], due}
	r.mu.Lock()
	if !due.Before(r.from) {
		r.res.Arrivals++
	}
	if len(r.idle) == 0 {
		r.waiting = append(r.waiting, a)
		r.mu.Unlock()
		return
	}
	c := r.idle[0]
	r.idle = append(r.idle[:0], r.idle[1:]...)
	c.current, c.busy = a, true
	r.mu.Unlock()
	c.send(a)
}

// answer notes what became of c's request and gives it the next that waits.
func (r *openRun) answer(c *openConn, status int, err error) {
	now := time.Now()
	r.mu.Lock()
	if !c.busy {
		r.mu.Unlock()
		return
	}
	r.noteLocked(c.current, now, status, err)
	if len(r.waiting) == 0 {
		c.busy = false
		r.idle = append(r.idle, c)
		r.mu.Unlock()
		return
	}
	a := r.waiting[0]
	r.waiting = r.waiting[1:]
	c.current = a
	r.mu.Unlock()
	c.send(a)
}

func (r *openRun) noteLocked(a arrival, now time.Time, status int, err error) {
	if r.answered++; r.answered == r.total {
		close(r.drained)
	}
	if err == nil && (status < 200 || status > 299) {
		err = fmt.Errorf("%s: status %d", r.o.Kinds[a.kind].Name, status)
	}
	if err == nil && now.After(r.from) && !now.After(r.to) {
		r.in++
	}
	if a.due.Before(r.from) {
		return
	}
	if err != nil {
		r.res.Failures++
		if r.res.First == nil {
			r.res.First = err
		}
		return
	}
	r.res.All.Record(now.Sub(a.due))
	r.res.Kinds[a.kind].Record(now.Sub(a.due))
}

func (r *openRun) result() *OpenResult {
	r.mu.Lock()
	defer r.mu.Unlock()
	if missing := r.res.Arrivals - r.res.All.Count() - r.res.Failures; missing > 0 {
		r.res.Failures += missing
		r.res.First = errors.Join(r.res.First, fmt.Errorf("%d requests had no answer %v after the end", missing, drainWait))
	}
	r.res.Achieved = float64(r.in) / r.o.Duration.Seconds()
	res := r.res
	return &res
}

func (r *openRun) closeAll() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, c := range r.conns {
		c.net.Close()
	}
}

// openConn is one connection: whoever has a request for it writes, and its own goroutine
// reads, so that an arrival waits for no hand-over.
type openConn struct {
	r       *openRun
	current arrival
	busy    bool

	mu     sync.Mutex // guards what follows, but for the reader's own use of net
	net    net.Conn
	buffer []byte
}

func (c *openConn) dial() (err error) {
	c.net, err = net.Dial("tcp", c.r.o.Addr)
	return err
}

// send writes a request; the reader sees it when that fails.
func (c *openConn) send(a arrival) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.buffer = append(c.buffer[:0], c.r.o.Kinds[a.kind].Request...)
	if at := c.r.at[a.kind]; at >= 0 {
		number(c.buffer[at:at+len(Number)], a.n)
	}
	_, _ = c.net.Write(c.buffer)
}

// number writes n in decimal over b.
func number(b []byte, n int) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte('0' + n%10)
		n /= 10
	}
}

// serve reads answers until the run ends.
func (c *openConn) serve() {
	in := bufio.NewReader(c.net)
	for {
		status, last, err := answer(in)
		if err != nil || last {
			if !c.redial() {
				return
			}
			in.Reset(c.net)
		}
		c.r.answer(c, status, err)
	}
}

// redial replaces a broken connection, unless the run is over.
func (c *openConn) redial() bool {
	c.r.mu.Lock()
	defer c.r.mu.Unlock()
	if c.r.closed {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.net.Close()
	return c.dial() == nil
}
