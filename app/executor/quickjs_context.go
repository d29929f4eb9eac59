package executor

import (
	"fmt"
	"runtime/debug"
	"time"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"

	"picloud/app/cloud"
)

// quickContext runs one script.
type quickContext struct {
	*quickRuntime
	program                              *quickProgram
	modules                              []*quickProgram
	files                                []string // names of the program's source and the modules'
	adapt, begin, finish, fail, describe lib.TJSValue
	handler                              lib.TJSValue
	base                                 int64 // heap after loading, in bytes
	runs                                 int
	spent                                bool
	stack                                string // of the exception that a stop raised, in the running execution
}

const (
	contextUses   = 1000     // runs after which a context is replaced
	contextGrowth = 16 << 20 // bytes a context may keep beyond what it had after loading
)

func (e *quickJS) NewContext(p Program, l cloud.Limits, modules ...Program) (_ Context, err error) {
	q, err := newQuickRuntime(arenaSize(l.MemoryBytes), false)
	if err != nil {
		return nil, err
	}
	c := &quickContext{quickRuntime: q, program: p.(*quickProgram), handler: jsUndefined}
	c.files = []string{c.program.file}
	for _, m := range modules {
		c.modules = append(c.modules, m.(*quickProgram))
		c.files = append(c.files, m.(*quickProgram).file)
	}
	lib.XJS_SetModuleLoaderFunc(q.tls, q.rt, cfunc(quickImport), 0, q.slot)
	lib.XJS_SetGCThreshold(q.tls, q.rt, ^lib.Tsize_t(0)) // loading the SDK makes no garbage to look for
	defer func() {
		if r := recover(); r != nil {
			err = engineFault("make a context", r)
		}
		if err != nil {
			c.Close()
		}
	}()
	if err := c.install(e); err != nil {
		return nil, err
	}
	c.setLimits(max(l.MemoryBytes, c.used()+minMemory), l.StackBytes)
	lib.XJS_SetGCThreshold(q.tls, q.rt, lib.Tsize_t(c.used()+c.used()/2)) // as the engine would have it now
	return c, nil
}

// install loads the prelude with its host function, then takes away what scripts must not have.
func (c *quickContext) install(e *quickJS) error {
	surface := lib.XJS_EvalFunction(c.tls, c.ctx, c.load(e.prelude))
	if isException(surface) {
		return fmt.Errorf("load the SDK: %s", c.exception())
	}
	c.modern = e.modern
	host, modern := c.newNative("host", quickHostCall), c.newNative("modern", quickModern)
	inner := c.call(surface, jsUndefined, host, modern)
	if isException(inner) {
		return fmt.Errorf("load the SDK: %s", c.exception())
	}
	for name, f := range map[string]*lib.TJSValue{"adapt": &c.adapt, "begin": &c.begin, "finish": &c.finish, "fail": &c.fail, "describe": &c.describe} {
		if *f = c.property(inner, name); lib.XJS_IsFunction(c.tls, c.ctx, *f) == 0 {
			return fmt.Errorf("load the SDK: the prelude has no function %s", name)
		}
	}
	c.freeValue(inner)
	c.freeValue(host)
	c.freeValue(modern)
	c.freeValue(surface)
	if v := lib.XJS_EvalFunction(c.tls, c.ctx, c.load(e.lockdown)); isException(v) {
		return fmt.Errorf("lock a context down: %s", c.exception())
	}
	c.guardNatives()
	return nil
}

// quickLockdown removes what turns text into code (the context has no compiler anyway), and
// memory shared between agents, of which there is one.
const quickLockdown = `(function (global) {
  "use strict";
  [function () {}, function* () {}, async function () {}, async function* () {}].forEach(function (f) {
    Object.defineProperty(Object.getPrototypeOf(f), "constructor", { value: undefined, writable: false, configurable: false });
  });
  ["eval", "Function", "SharedArrayBuffer", "Atomics"].forEach(function (name) { delete global[name]; });
})(globalThis);`

// quickHostCall is the host function: (op, args) -> string.
func quickHostCall(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	if argc != 2 || q.host == nil {
		return q.throw("TypeError: a host call takes an operation and its arguments")
	}
	op, ok := q.goString(*(*lib.TJSValue)(pointer(argv)))
	if !ok {
		return jsException
	}
	args, ok := q.goString(*(*lib.TJSValue)(pointer(argv + valueSize)))
	if !ok {
		return jsException
	}
	if q.loading && touchesData(op) {
		return q.newString(dataWhileLoading(op))
	}
	if q.stopped() {
		return q.halt("interrupted")
	}
	out, fatal := q.host.Host(op, args)
	if fatal != nil {
		q.why, q.fatal = stopHost, fatal
		return q.halt("stopped")
	}
	return q.newString(out)
}

func (q *quickRuntime) throw(message string) lib.TJSValue {
	return lib.XJS_Throw(q.tls, q.ctx, q.newString(message))
}

// halt throws what no script can catch.
func (q *quickRuntime) halt(message string) lib.TJSValue {
	v := q.throw(message)
	lib.XJS_SetUncatchableException(q.tls, q.ctx, 1)
	return v
}

// exception takes the pending one and tells it as text, for errors of our own code.
func (q *quickRuntime) exception() string {
	s, _ := q.goString(lib.XJS_GetException(q.tls, q.ctx))
	return s
}

// Run runs the handler once. Whatever a script does with its exceptions, the verdict is
// looked at last: an async function or a promise can swallow an interrupt.
func (c *quickContext) Run(h Host, b Budget) (finished string, fail *Failure) {
	c.host, c.why, c.fatal, c.ops, c.most, c.due = h, goOn, nil, 0, b.Limits.Operations, sinceStart(b.Deadline)
	c.over, c.stint, c.stack = b.Ctx, b.Stint, ""
	c.watched(c.due)
	c.jsContext().Finterrupt_counter = quickPoll
	old := debug.SetPanicOnFault(true) // a fault in the engine, or a revoked arena, is then a panic
	defer func() {
		r := recover()
		debug.SetPanicOnFault(old)
		c.unwatched()
		if r != nil {
			c.broken = true
			finished, fail = "", c.panicked(r)
		} else if c.stopped() {
			finished, fail = "", c.verdict()
		}
		c.host, c.over, c.stint = nil, nil, nil
		c.spend()
	}()
	return c.execute()
}

// spend decides whether the context lives on.
func (c *quickContext) spend() {
	c.runs++
	switch {
	case c.broken, c.why != goOn, c.runs >= contextUses, isUndefined(c.handler):
		c.spent = true
	case c.runs == 1:
		c.base = c.used()
	case c.used() > c.base+contextGrowth:
		c.spent = true
	}
}

func (c *quickContext) panicked(r any) *Failure {
	if c.why == goOn && (c.kill.Load() || int64(time.Since(quickStart)) >= c.due) {
		c.why = stopTime
	}
	if c.why != goOn {
		return c.verdict()
	}
	return &Failure{Err: engineFault("run "+c.program.file, r), Trace: &cloud.Trace{Message: "the engine failed", File: c.program.file}}
}

// verdict is the failure of a run that was stopped, with the place where it was.
func (c *quickContext) verdict() *Failure {
	f := c.cause()
	stack := c.ownPositions(withoutPrelude(c.stack))
	if f.Trace.Line == 0 { // else it was in a script that this one invoked
		f.Trace.File, f.Trace.Line, f.Trace.Column = locateAny(stack, c.files)
	}
	f.Trace.Stack += stack
	return f
}

func (c *quickContext) cause() *Failure {
	file := c.program.file
	switch c.why {
	case stopOperations:
		return verdictOperations(file, c.most)
	case stopMemory:
		return verdictMemory(file, c.limit)
	case stopHost:
		return hostFailure(c.fatal, file)
	}
	return calledOff(file, c.over)
}

// noteStack keeps the stack of the exception that a stop raised. A script's own exception
// may have a getter there; it gets no further than its first call.
func (c *quickContext) noteStack(e lib.TJSValue) {
	if !isObject(e) || c.why == stopMemory {
		return
	}
	v := c.property(e, "stack")
	if tagOf(v) == lib.EJS_TAG_STRING {
		c.stack, _ = c.goString(v)
		c.stack = clip(c.stack, 8192)
	}
	c.freeValue(v)
}

// execute is a run without its verdict.
func (c *quickContext) execute() (string, *Failure) {
	c.forgive()
	if isUndefined(c.handler) {
		if fail := c.instantiate(); fail != nil {
			return "", fail
		}
	}
	input := c.newString(string(c.host.Context()))
	arg := c.call(c.begin, jsUndefined, input)
	c.freeValue(input)
	if isException(arg) {
		return c.threw()
	}
	v := c.call(c.handler, jsUndefined, arg)
	c.freeValue(arg)
	if v = c.settle(v); isException(v) {
		return c.threw()
	}
	out := c.call(c.finish, jsUndefined, v)
	c.freeValue(v)
	if isObject(out) { // a promise: a body is still to be read
		out = c.settle(out)
	}
	return c.answer(out)
}

// answer takes the string that finish or fail gave.
func (c *quickContext) answer(v lib.TJSValue) (string, *Failure) {
	if isException(v) {
		return c.threw()
	}
	s, ok := c.goString(v)
	c.freeValue(v)
	if !ok {
		return c.threw()
	}
	return s, nil
}

// threw makes the failure of the pending exception, or the answer of an HttpError.
func (c *quickContext) threw() (string, *Failure) {
	e := lib.XJS_GetException(c.tls, c.ctx)
	defer c.freeValue(e)
	if c.stopped() {
		c.noteStack(e)
		return "", nil // the verdict follows
	}
	v := c.call(c.fail, jsUndefined, e)
	if !isException(v) {
		s, ok := c.goString(v)
		c.freeValue(v)
		if ok && s != "" {
			return s, nil
		}
	}
	return "", c.failure(e)
}

// failure tells an exception to the script's author.
func (c *quickContext) failure(e lib.TJSValue) *Failure {
	d := c.call(c.describe, jsUndefined, e)
	if isException(d) {
		c.freeValue(lib.XJS_GetException(c.tls, c.ctx))
		return thrown(&cloud.Trace{Message: "an exception that can't be described", File: c.program.file})
	}
	s, _ := c.goString(d)
	c.freeValue(d)
	return described(s, c.files, c.ownPositions)
}

// ownPositions turns a stack into one of the user's own lines.
func (c *quickContext) ownPositions(stack string) string {
	if !c.program.commonJS {
		return stack
	}
	return moveColumns(stack, c.program.file+":1:", -len(commonJSHead))
}

// Memory is about what the context takes, in bytes.
func (c *quickContext) Memory() int64 {
	if c.broken {
		return 0
	}
	return c.used()
}

// Spent reports that the context is used up.
func (c *quickContext) Spent() bool { return c.spent }

// Close frees the context.
func (c *quickContext) Close() { c.close() }
