package executor

import (
	"context"
	"errors"
	"time"

	"picloud/app/cloud"
)

// processContext is a script's context in a worker. It takes place there when it runs, and may
// take place anew in another worker; the worker that runs an execution runs the scripts that
// it invokes, too.
type processContext struct {
	e        *processEngine
	file     string
	programs []*processProgram // the script, then its modules
	limits   cloud.Limits

	home   *worker // where it is open under id
	id     int64
	memory int64 // bytes, as the worker tells
	spent  bool

	at *worker // that runs it now
}

// workerGrace is how long after its deadline a run may go on before its worker is killed. The
// engine's own means come first: they know where the script was.
const workerGrace = time.Second

// frameBound is how long frames from a worker may be: no string of a script is longer.
func frameBound(l cloud.Limits) int64 { return 2*l.MemoryBytes + 1<<20 }

// Run runs the handler once. Whatever the worker does, or doesn't, it ends with a verdict at
// most workerGrace after the deadline.
func (c *processContext) Run(h Host, b Budget) (string, *Failure) {
	if within, ok := b.Within.(*processContext); ok && within.at != nil {
		c.at = within.at
		defer func() { c.at = nil }()
		return c.converse(h, b)
	}
	w, err := c.e.workers.forRunning(b, c.e.app, c.home)
	if err != nil {
		return "", &Failure{Err: err, Trace: &cloud.Trace{Message: cloud.Message(err), File: c.file}}
	}
	c.at = w
	begin := time.Now()
	stint := c.e.workers.turns.begin(w)
	unwatch := w.killAfter(b.Deadline.Add(workerGrace))
	uncancel := context.AfterFunc(b.Ctx, func() {
		if errors.Is(b.Ctx.Err(), context.Canceled) {
			w.kill(endCancelled)
		}
	})
	defer func() {
		unwatch()
		uncancel()
		c.at = nil
		stint.end()
		c.e.workers.ran(w, time.Since(begin))
	}()
	return c.converse(h, b)
}

// converse has the worker run the script, and answers its host calls.
func (c *processContext) converse(h Host, b Budget) (string, *Failure) {
	w := c.at
	var ended error // fatal, of a host call
	if err := c.send(h, b); err != nil {
		return "", c.broken(err, nil, b)
	}
	for {
		w.in.most = frameBound(b.Limits)
		kind, f, err := w.in.next()
		switch {
		case err != nil:
		case kind == frameCall && ended == nil:
			ended, err = c.answer(h, f)
		case kind == frameDone:
			finished, fail, err := c.done(f, ended)
			if err != nil {
				return "", c.broken(err, ended, b)
			}
			return finished, fail
		default:
			err = errFrameText
		}
		if err != nil {
			return "", c.broken(err, ended, b)
		}
	}
}

// send tells the worker to run the script, and what it must know before.
func (c *processContext) send(h Host, b Budget) error {
	w := c.at
	for _, id := range c.e.workers.place(c) {
		at := w.out.begin(frameClose)
		w.out.number(id)
		w.out.end(at)
	}
	if c.home != w {
		if err := c.open(); err != nil {
			return err
		}
	}
	at := w.out.begin(frameRun)
	w.out.number(c.id)
	w.out.number(int64(time.Until(b.Deadline)))
	w.out.number(int64(b.Nested))
	w.out.limits(b.Limits)
	w.out.bytes(h.Context())
	return errors.Join(w.out.end(at), w.send())
}

// open makes the worker its home.
func (c *processContext) open() error {
	w := c.at
	c.home, c.id = w, c.e.workers.opened(w, c.home, c.id)
	at := w.out.begin(frameOpen)
	w.out.number(c.id)
	w.out.text(c.e.name)
	w.out.limits(c.limits)
	w.out.number(int64(len(c.programs)))
	for _, p := range c.programs {
		w.out.bytes(p.code)
	}
	return w.out.end(at)
}

// answer makes one host call. The tenant is the Host's: the worker has no say in it.
func (c *processContext) answer(h Host, f *fields) (ended, err error) {
	op, args, memory, err := readCall(f)
	if err != nil {
		return nil, err
	}
	c.memory = max(memory, 0) // for the scripts that it may be about to invoke
	out, ended := h.Host(op, args)
	w := c.at
	at := w.out.begin(frameAnswer)
	w.out.flag(ended != nil)
	w.out.text(out)
	return ended, errors.Join(w.out.end(at), w.send())
}

func readCall(f *fields) (op, args string, memory int64, err error) {
	op, args, memory = f.text(), f.text(), f.number()
	return op, args, memory, f.end()
}

// done takes the end of the run.
func (c *processContext) done(f *fields, ended error) (finished string, fail *Failure, err error) {
	if finished, fail, err = c.readDone(f, ended); err != nil {
		return "", nil, err
	}
	c.e.workers.rests(c)
	if fail != nil && fail.Stuck { // a native that nothing but this can stop
		fail.Stuck = false
		c.at.kill(endTime)
	}
	return finished, fail, nil
}

func (c *processContext) readDone(f *fields, ended error) (finished string, fail *Failure, err error) {
	if f.flag() {
		if finished = f.text(); ended != nil {
			return "", nil, errFrameText
		}
	} else if fail, err = failureOf(f.part(), ended, c.file); err != nil {
		return "", nil, err
	}
	c.spent, c.memory = f.flag() || fail != nil && cloud.KindOf(fail.Err) != cloud.ScriptError, max(f.number(), 0)
	return finished, fail, f.end()
}

// broken is the verdict of a run whose worker ended over it, or must.
func (c *processContext) broken(err, ended error, b Budget) *Failure {
	c.spent = true
	w := c.at
	if errors.Is(err, errFrameText) || errors.Is(err, errFrameSize) {
		w.kill(endNonsense)
	}
	w.wait()
	if ended != nil {
		return hostFailure(ended, c.file)
	}
	switch w.why() {
	case endTime:
		return verdictTime(c.file)
	case endCancelled, endStop:
		return verdict(c.file, cloud.Overloaded, stopping)
	case endMemory:
		return verdict(c.file, cloud.BudgetExceeded, "the memory of the worker process was used up")
	case endCPU:
		return verdict(c.file, cloud.BudgetExceeded, "the processor time of the worker process was used up")
	}
	if lost := w.lost(); lost != nil {
		return &Failure{Err: lost, Trace: &cloud.Trace{Message: cloud.Message(lost), File: c.file}}
	}
	return &Failure{Err: w.fault(err), Trace: &cloud.Trace{Message: "the engine failed", File: c.file}}
}

// Memory is about what the context takes in its worker, in bytes.
func (c *processContext) Memory() int64 { return c.memory }

// Spent reports that the context is used up, or that its worker is.
func (c *processContext) Spent() bool {
	return c.spent || c.home != nil && c.home.why() != ""
}

// Close has the worker free the context before its next run.
func (c *processContext) Close() {
	if c.home != nil {
		c.e.workers.unseat(c.home, c.id)
	}
}
