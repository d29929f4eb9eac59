package executor

import (
	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

// settle waits for v when it is a promise (or has a then method), and runs all jobs that
// are pending in any case: what they write belongs to the execution.
func (c *quickContext) settle(v lib.TJSValue) lib.TJSValue {
	if isException(v) {
		return v
	}
	if isObject(v) && c.promiseState(v) < 0 {
		if v = c.adopt(v); isException(v) {
			return v
		}
	}
	for lib.XJS_IsJobPending(c.tls, c.rt) != 0 {
		if c.ops += quickPoll / 10; c.poll() {
			c.freeValue(v)
			return c.halt("interrupted")
		}
		if lib.XJS_ExecutePendingJob(c.tls, c.rt, 0) < 0 {
			c.freeValue(lib.XJS_GetException(c.tls, c.ctx)) // of a job nobody waits for
		}
	}
	state := c.promiseState(v)
	if state != lib.EJS_PROMISE_REJECTED {
		if e := c.unhandled(); !isUndefined(e) {
			c.freeValue(v)
			return lib.XJS_Throw(c.tls, c.ctx, e)
		}
	}
	if state < 0 {
		return v
	}
	defer c.freeValue(v)
	r := lib.XJS_PromiseResult(c.tls, c.ctx, v)
	switch state {
	case lib.EJS_PROMISE_FULFILLED:
		return r
	case lib.EJS_PROMISE_REJECTED:
		return lib.XJS_Throw(c.tls, c.ctx, r)
	}
	return lib.XJS_ThrowTypeError(c.tls, c.ctx, c.text.put(c.tls, "the handler's promise never settles: there is nothing left to wait for"), 0)
}

func (c *quickContext) promiseState(v lib.TJSValue) int32 {
	if !isObject(v) {
		return -1
	}
	return int32(lib.XJS_PromiseState(c.tls, c.ctx, v))
}

// adopt makes a promise of an object that only has a then method, and leaves others as they are.
func (c *quickContext) adopt(v lib.TJSValue) lib.TJSValue {
	then := c.property(v, "then")
	if isException(then) {
		c.freeValue(v)
		return then
	}
	callable := lib.XJS_IsFunction(c.tls, c.ctx, then) != 0
	c.freeValue(then)
	if !callable {
		return v
	}
	p := lib.XJS_NewPromiseCapability(c.tls, c.ctx, c.cells+4*valueSize)
	if isException(p) {
		c.freeValue(v)
		return p
	}
	resolve := *(*lib.TJSValue)(pointer(c.cells + 4*valueSize))
	reject := *(*lib.TJSValue)(pointer(c.cells + 5*valueSize))
	r := c.call(resolve, jsUndefined, v)
	c.freeValue(v)
	c.freeValue(resolve)
	c.freeValue(reject)
	if isException(r) {
		c.freeValue(p)
		return r
	}
	c.freeValue(r)
	return p
}

// rejection is a promise that was rejected while nobody listened.
type rejection struct{ promise, reason lib.TJSValue }

// maxRejections is how many are remembered: the first is the one to report.
const maxRejections = 100

// quickRejection is told of rejections without a handler, and of those that got one later.
func quickRejection(tls *libc.TLS, ctx uintptr, promise, reason lib.TJSValue, handled int32, slot uintptr) {
	q := quickAt(slot)
	if handled == 0 {
		if len(q.rejected) < maxRejections {
			q.rejected = append(q.rejected, rejection{lib.XDupValue(tls, ctx, promise), lib.XDupValue(tls, ctx, reason)})
		}
		return
	}
	for i, r := range q.rejected {
		if pointerOf(r.promise) == pointerOf(promise) {
			q.rejected = append(q.rejected[:i], q.rejected[i+1:]...)
			q.freeValue(r.promise)
			q.freeValue(r.reason)
			return
		}
	}
}

// unhandled takes the reason of the first rejection that nobody handled, or undefined. A
// handler that forgot to await must not be taken for a success: half of its work is missing.
func (q *quickRuntime) unhandled() lib.TJSValue {
	reason := jsUndefined
	if len(q.rejected) > 0 {
		reason = lib.XDupValue(q.tls, q.ctx, q.rejected[0].reason)
	}
	q.forgive()
	return reason
}

// forgive forgets all rejections.
func (q *quickRuntime) forgive() {
	for _, r := range q.rejected {
		q.freeValue(r.promise)
		q.freeValue(r.reason)
	}
	q.rejected = q.rejected[:0]
}
