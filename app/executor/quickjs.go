package executor

import (
	"fmt"
	"regexp"
	"runtime/debug"
	"strings"
	"time"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"

	"picloud/app/cloud"
)

// quickJS is the default engine: ES2023 with a real memory limit.
type quickJS struct {
	prelude  []byte // bytecode
	lockdown []byte
}

// quickProgram is bytecode. It is kept in memory only: its format belongs to one version of
// the engine, and loading it is not checked.
type quickProgram struct {
	file     string
	code     []byte
	commonJS bool // the code's value is a function (module, exports, require); else it is an ES module
}

func (p *quickProgram) Bytes() int { return len(p.code) }

const (
	compileArena   = 192 << 20
	compileMemory  = 128 << 20
	compileSeconds = 10
)

// compiling bounds how many scripts are compiled at once: each may take compileMemory.
var compiling = make(chan struct{}, 2)

// newQuickJS makes the engine for one prelude.
func newQuickJS(prelude string) (*quickJS, error) {
	e := &quickJS{}
	err := withCompiler(func(c *quickCompiler) (err error) {
		if e.prelude, err = c.compile("picloud.js", prelude, lib.MJS_EVAL_TYPE_GLOBAL); err != nil {
			return err
		}
		e.lockdown, err = c.compile("lockdown.js", quickLockdown, lib.MJS_EVAL_TYPE_GLOBAL)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("compile the SDK: %w", err)
	}
	return e, nil
}

// commonJSHead goes before a CommonJS source, on its first line so that lines stay the
// user's; columns of the first line are moved back in positions and stacks.
const commonJSHead = "(function (module, exports, require) {"

// exportsWord tells a CommonJS module from a script that forgot its export.
var exportsWord = regexp.MustCompile(`\b(module\s*\.\s*)?exports\b`)

// Compile takes an ES module with a default export or, failing that, a CommonJS module. The
// source is always compiled alone first, so that positions in errors are its own.
func (e *quickJS) Compile(name, source string) (Program, error) {
	p := &quickProgram{file: scriptFile(name)}
	err := withCompiler(func(c *quickCompiler) error {
		code, err := c.compile(p.file, source, lib.MJS_EVAL_TYPE_MODULE)
		if err == nil && c.hasDefault {
			p.code = code
			return nil
		}
		if !exportsWord.MatchString(source) {
			if err == nil {
				err = cloud.Errorf(cloud.Invalid, "%s has no default export: write export default function (ctx) { … }", p.file)
			}
			return err
		}
		if _, plain := c.compile(p.file, source, lib.MJS_EVAL_TYPE_GLOBAL); plain != nil {
			if err == nil || !strings.Contains(source, "export ") {
				err = plain
			}
			return err
		}
		p.commonJS = true
		p.code, err = c.compile(p.file, commonJSHead+source+"\n})", lib.MJS_EVAL_TYPE_GLOBAL)
		return err
	})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// quickCompiler is a runtime of its own for compiling: the parser is the weakest part of
// the engine when memory gets short, so it has plenty, and no script runs beside it.
type quickCompiler struct {
	*quickRuntime
	hasDefault bool // the module compiled last has a default export
}

// withCompiler runs f, which may fail or panic in any way.
func withCompiler(f func(*quickCompiler) error) (err error) {
	compiling <- struct{}{}
	defer func() { <-compiling }()
	q, err := newQuickRuntime(compileArena, true)
	if err != nil {
		return err
	}
	defer func() { q.close() }()
	q.setLimits(compileMemory, defaultStack)
	q.watched(sinceStart(time.Now()) + int64(compileSeconds*time.Second))
	old := debug.SetPanicOnFault(true)
	defer func() {
		r := recover()
		debug.SetPanicOnFault(old)
		q.unwatched()
		if r != nil {
			err = cloud.Errorf(cloud.Invalid, "the script can't be compiled: it is too large or nested too deeply").WithCause(engineFault("compile", r))
		}
	}()
	return f(&quickCompiler{quickRuntime: q})
}

func (c *quickCompiler) compile(file, source string, kind int32) ([]byte, error) {
	name, err := libc.CString(file)
	if err != nil {
		return nil, err
	}
	defer libc.Xfree(c.tls, name)
	v := lib.XJS_Eval(c.tls, c.ctx, c.text.put(c.tls, source), lib.Tsize_t(len(source)), name, kind|lib.MJS_EVAL_FLAG_COMPILE_ONLY)
	if isException(v) {
		return nil, c.syntaxError(file)
	}
	c.hasDefault = kind == lib.MJS_EVAL_TYPE_MODULE && c.exportsDefault(pointerOf(v))
	size := c.cells + 7*valueSize
	p := lib.XJS_WriteObject(c.tls, c.ctx, size, v, lib.MJS_WRITE_OBJ_BYTECODE)
	if p == 0 {
		return nil, c.syntaxError(file)
	}
	return append([]byte(nil), memory(p, uintptr(*(*lib.Tsize_t)(pointer(size))))...), nil
}

// exportsDefault looks through a module's exports.
func (c *quickCompiler) exportsDefault(module uintptr) bool {
	m := (*lib.TJSModuleDef)(pointer(module))
	for i := range uintptr(m.Fexport_entries_count) {
		x := (*lib.TJSExportEntry)(pointer(m.Fexport_entries + i*unsafe.Sizeof(lib.TJSExportEntry{})))
		v := lib.XJS_AtomToString(c.tls, c.ctx, x.Fexport_name)
		if s, _ := c.goString(v); s == "default" {
			return true
		}
	}
	return false
}

func (c *quickCompiler) syntaxError(file string) error {
	e := lib.XJS_GetException(c.tls, c.ctx)
	if c.why == stopMemory {
		return notCompiled(file, 0, 0, "it needs too much memory to compile")
	}
	message, _ := c.goString(c.property(e, "message"))
	if module, ok := strings.CutPrefix(message, "could not load module "); ok {
		return cloud.Errorf(cloud.Invalid, "%s imports %s: a script can't import modules, everything there is to use is built in", file, module)
	}
	line, column := int32Of(c.property(e, "lineNumber")), int32Of(c.property(e, "columnNumber"))
	return notCompiled(file, int(line), int(column), message)
}

// quickContext runs one script.
type quickContext struct {
	*quickRuntime
	program                       *quickProgram
	limits                        cloud.Limits
	begin, finish, fail, describe lib.TJSValue
	handler                       lib.TJSValue
	base                          int64 // heap after loading, in bytes
	runs                          int
	spent                         bool
}

const (
	contextUses   = 1000     // runs after which a context is replaced
	contextGrowth = 16 << 20 // bytes a context may keep beyond what it had after loading
)

func (e *quickJS) NewContext(p Program, l cloud.Limits) (_ Context, err error) {
	q, err := newQuickRuntime(arenaSize(l.MemoryBytes), false)
	if err != nil {
		return nil, err
	}
	c := &quickContext{quickRuntime: q, program: p.(*quickProgram), limits: l, handler: jsUndefined}
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
	return c, nil
}

// install loads the prelude with its host function, then takes away what scripts must not have.
func (c *quickContext) install(e *quickJS) error {
	make := lib.XJS_EvalFunction(c.tls, c.ctx, c.load(e.prelude))
	if isException(make) {
		return fmt.Errorf("load the SDK: %s", c.exception())
	}
	host := lib.XJS_NewCFunction2(c.tls, c.ctx, cfunc(quickHostCall), c.text.put(c.tls, "host"), 2, lib.EJS_CFUNC_generic, 0)
	inner := c.call(make, jsUndefined, host)
	if isException(inner) {
		return fmt.Errorf("load the SDK: %s", c.exception())
	}
	for name, f := range map[string]*lib.TJSValue{"begin": &c.begin, "finish": &c.finish, "fail": &c.fail, "describe": &c.describe} {
		if *f = c.property(inner, name); lib.XJS_IsFunction(c.tls, c.ctx, *f) == 0 {
			return fmt.Errorf("load the SDK: the prelude has no function %s", name)
		}
	}
	c.freeValue(inner)
	c.freeValue(host)
	c.freeValue(make)
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
	if out == "" {
		return q.newString("")
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
	c.over = b.Ctx
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
		c.host, c.over = nil, nil
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
	switch c.why {
	case goOn:
		err := fmt.Errorf("run %s: %w", c.program.file, engineFault("quickjs", r))
		return &Failure{Err: err, Trace: &cloud.Trace{Message: "the engine failed", File: c.program.file}}
	case stopMemory:
		return verdictMemory(c.program.file, c.limit)
	}
	return c.verdict()
}

func (c *quickContext) verdict() *Failure {
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

// execute is a run without its verdict.
func (c *quickContext) execute() (string, *Failure) {
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
	if c.stopped() {
		return "", nil // the verdict follows
	}
	e := lib.XJS_GetException(c.tls, c.ctx)
	defer c.freeValue(e)
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
	return described(s, c.program.file, c.ownPositions)
}

// ownPositions turns a stack into one of the user's own lines.
func (c *quickContext) ownPositions(stack string) string {
	if !c.program.commonJS {
		return stack
	}
	return moveColumns(stack, c.program.file+":1:", -len(commonJSHead))
}

// instantiate runs the script's top level and finds its handler.
func (c *quickContext) instantiate() *Failure {
	c.loading = true
	defer func() { c.loading = false }()
	find := c.esHandler
	if c.program.commonJS {
		find = c.commonJSHandler
	}
	h := find()
	if isException(h) {
		if c.stopped() {
			return &Failure{} // the verdict follows
		}
		e := lib.XJS_GetException(c.tls, c.ctx)
		defer c.freeValue(e)
		return c.failure(e)
	}
	if lib.XJS_IsFunction(c.tls, c.ctx, h) == 0 {
		c.freeValue(h)
		return noHandler(c.program.file)
	}
	c.handler = h
	return nil
}

func (c *quickContext) esHandler() lib.TJSValue {
	m := c.load(c.program.code)
	if isException(m) {
		return m
	}
	if lib.XJS_ResolveModule(c.tls, c.ctx, m) < 0 {
		return jsException
	}
	module := pointerOf(m)
	if v := c.settle(lib.XJS_EvalFunction(c.tls, c.ctx, m)); isException(v) {
		return v
	}
	ns := lib.XJS_GetModuleNamespace(c.tls, c.ctx, module)
	if isException(ns) {
		return ns
	}
	defer c.freeValue(ns)
	return c.property(ns, "default")
}

func (c *quickContext) commonJSHandler() lib.TJSValue {
	code := c.load(c.program.code)
	if isException(code) {
		return code
	}
	load := lib.XJS_EvalFunction(c.tls, c.ctx, code)
	if isException(load) {
		return load
	}
	module, exports := lib.XJS_NewObject(c.tls, c.ctx), lib.XJS_NewObject(c.tls, c.ctx)
	lib.XJS_SetPropertyStr(c.tls, c.ctx, module, c.text.put(c.tls, "exports"), lib.XDupValue(c.tls, c.ctx, exports))
	require := lib.XJS_NewCFunction2(c.tls, c.ctx, cfunc(quickRequire), c.text.put(c.tls, "require"), 1, lib.EJS_CFUNC_generic, 0)
	v := c.call(load, exports, module, exports, require)
	if isException(v) {
		return v
	}
	x := c.property(module, "exports")
	for _, name := range []string{"default", "handler"} {
		if isObject(x) && lib.XJS_IsFunction(c.tls, c.ctx, x) == 0 {
			if h := c.property(x, name); !isUndefined(h) {
				return h
			}
		}
	}
	return x
}

func quickRequire(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, _ int32, _ uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	p := q.text.put(tls, requireMessage)
	return lib.XJS_ThrowTypeError(tls, ctx, p, 0)
}

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
		if c.ops += quickPoll / 10; c.stopped() {
			c.freeValue(v)
			return c.halt("interrupted")
		}
		if lib.XJS_ExecutePendingJob(c.tls, c.rt, 0) < 0 {
			c.freeValue(lib.XJS_GetException(c.tls, c.ctx)) // of a job nobody waits for
		}
	}
	state := c.promiseState(v)
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
