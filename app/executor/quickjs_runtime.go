package executor

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

// quickRuntime is one QuickJS runtime with its one context, in an arena of its own. It
// drives modernc.org/libquickjs, the transpiled C, directly: modernc.org/quickjs has no
// operation budget, no allocator of one's own, and host calls four times as dear.
type quickRuntime struct {
	arena *arena
	tls   *libc.TLS
	rt    uintptr // JSRuntime
	ctx   uintptr // JSContext
	slot  uintptr // in quickLive
	cells uintptr // C memory for three values and a size, outside of the arena
	text  cbuffer // C memory for strings on their way in

	modern []byte // bytecode of the SDK's modern part, loaded when a script needs it

	host  Host // of the running execution
	stint *stint
	polls int   // of the running execution
	ops   int64 // its operations, in steps of quickPoll
	most  int64 // operations it may use
	due   int64 // nanoseconds since quickStart at which its time is up
	limit int64 // bytes
	why   stopCause
	fatal error // with stopHost: from the host call
	over  context.Context

	imports []string // names of the modules that what was compiled imports; nil unless it compiles

	rejected []rejection // promises of the running execution

	loading bool         // the script's top level runs
	broken  bool         // a panic went through the engine: only the arena can be freed
	running atomic.Int64 // due, while it runs, for the watchdog; else 0
	kill    atomic.Bool  // set by the watchdog
}

// stopCause is why the interrupt handler stops a script; no script can catch that.
type stopCause uint8

const (
	goOn stopCause = iota
	stopOperations
	stopTime
	stopMemory
	stopHost
)

// quickPoll is how many operations (calls and backward jumps) lie between two looks at the
// budget. QuickJS's own 10000 would let natives between them run for seconds.
const quickPoll = 100

var quickStart = time.Now() // monotonic

func sinceStart(t time.Time) int64 { return int64(t.Sub(quickStart)) }

// quickLive finds a runtime from C: a Go pointer can't be kept there. Readers take no lock.
var quickLive struct {
	sync.Mutex
	table atomic.Pointer[[]*quickRuntime] // replaced, never changed
}

func init() { quickLive.table.Store(&[]*quickRuntime{nil}) }

func quickAt(slot uintptr) *quickRuntime { return (*quickLive.table.Load())[slot] }

func (q *quickRuntime) enlist() {
	quickLive.Lock()
	defer quickLive.Unlock()
	t := append([]*quickRuntime(nil), *quickLive.table.Load()...)
	for i := 1; i < len(t); i++ {
		if t[i] == nil {
			q.slot = uintptr(i)
			break
		}
	}
	if q.slot == 0 {
		q.slot = uintptr(len(t))
		t = append(t, nil)
	}
	t[q.slot] = q
	quickLive.table.Store(&t)
}

func (q *quickRuntime) delist() {
	quickLive.Lock()
	defer quickLive.Unlock()
	t := append([]*quickRuntime(nil), *quickLive.table.Load()...)
	t[q.slot] = nil
	quickLive.table.Store(&t)
}

// Function values as the transpiled C wants its function pointers.
func cfunc(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

var quickMalloc = lib.TJSMallocFunctions{
	Fjs_malloc:             cfunc(quickMallocFunc),
	Fjs_free:               cfunc(quickFreeFunc),
	Fjs_realloc:            cfunc(quickReallocFunc),
	Fjs_malloc_usable_size: cfunc(quickSizeFunc),
}

func mallocState(s uintptr) *lib.TJSMallocState { return (*lib.TJSMallocState)(pointer(s)) }

func quickMallocFunc(_ *libc.TLS, s uintptr, size lib.Tsize_t) uintptr {
	m := mallocState(s)
	q := quickAt(m.Fopaque)
	if m.Fmalloc_size+size > m.Fmalloc_limit {
		return q.exhausted()
	}
	p := q.arena.malloc(uintptr(size))
	if p == 0 {
		return q.exhausted()
	}
	m.Fmalloc_count++
	m.Fmalloc_size += lib.Tsize_t(blockSize(p) + arenaHeader)
	return p
}

func quickFreeFunc(_ *libc.TLS, s, p uintptr) {
	if p == 0 {
		return
	}
	m := mallocState(s)
	m.Fmalloc_count--
	m.Fmalloc_size -= lib.Tsize_t(blockSize(p) + arenaHeader)
	quickAt(m.Fopaque).arena.dealloc(p)
}

func quickReallocFunc(tls *libc.TLS, s, p uintptr, size lib.Tsize_t) uintptr {
	if p == 0 {
		if size == 0 {
			return 0
		}
		return quickMallocFunc(tls, s, size)
	}
	if size == 0 {
		quickFreeFunc(tls, s, p)
		return 0
	}
	m := mallocState(s)
	q := quickAt(m.Fopaque)
	old := lib.Tsize_t(blockSize(p))
	if size > old && m.Fmalloc_size+size-old > m.Fmalloc_limit {
		return q.exhausted()
	}
	n := q.arena.realloc(p, uintptr(size))
	if n == 0 {
		return q.exhausted()
	}
	m.Fmalloc_size += lib.Tsize_t(blockSize(n)) - old
	return n
}

func quickSizeFunc(_ *libc.TLS, p uintptr) lib.Tsize_t { return lib.Tsize_t(blockSize(p)) }

// exhausted notes that the memory limit was hit. The engine throws an exception that a
// script could catch, so the next poll, which is made due at once, stops it for good.
func (q *quickRuntime) exhausted() uintptr {
	if q.why == goOn {
		q.why = stopMemory
	}
	if q.ctx != 0 {
		q.jsContext().Finterrupt_counter = 0
	}
	return 0
}

func (q *quickRuntime) jsContext() *lib.TJSContext { return (*lib.TJSContext)(pointer(q.ctx)) }
func (q *quickRuntime) jsRuntime() *lib.TJSRuntime { return (*lib.TJSRuntime)(pointer(q.rt)) }

func quickInterrupt(_ *libc.TLS, _, slot uintptr) int32 {
	q := quickAt(slot)
	q.jsContext().Finterrupt_counter = quickPoll
	q.ops += quickPoll
	if q.poll() {
		return 1
	}
	q.collectInTime()
	return 0
}

// poll stands between two pieces of a script's work. It reports whether the script must stop.
func (q *quickRuntime) poll() (stop bool) {
	q.polls++
	if q.polls%8 == 0 {
		q.stint.computes(q.over)
	}
	if q.polls%64 == 0 {
		yieldThread()
	}
	return q.stopped()
}

// stopped looks at the budget.
func (q *quickRuntime) stopped() bool {
	switch {
	case q.why != goOn:
	case q.ops > q.most:
		q.why = stopOperations
	case q.kill.Load(), int64(time.Since(quickStart)) >= q.due:
		q.why = stopTime
	case q.over != nil && q.polls%16 == 0 && q.over.Err() != nil:
		q.why = stopTime
	}
	return q.why != goOn
}

// collectInTime makes the engine look for garbage cycles before memory runs out: by itself
// it waits until the heap has grown by half, which may be beyond the limit.
func (q *quickRuntime) collectInTime() {
	rt := q.jsRuntime()
	limit := lib.Tsize_t(q.limit)
	if rt.Fmalloc_gc_threshold <= limit {
		return
	}
	if used := rt.Fmalloc_ctx.Fmalloc_state.Fmalloc_size; used < limit {
		if room := (limit - used) / 2; room > 64<<10 {
			rt.Fmalloc_gc_threshold = used + room
		}
	}
}

// newQuickRuntime makes an empty runtime in an arena of size bytes. Without a compiler
// nothing in it can turn text into code.
func newQuickRuntime(size uintptr, compiler bool) (q *quickRuntime, err error) {
	a, err := newArena(size)
	if err != nil {
		return nil, err
	}
	q = &quickRuntime{arena: a, tls: libc.NewTLS(), most: 1 << 62, due: 1 << 62, limit: 1 << 62}
	q.enlist()
	defer func() {
		if err != nil {
			q.broken = true
			q.close()
		}
	}()
	q.cells = libc.Xcalloc(q.tls, 8, lib.Tsize_t(valueSize))
	if q.cells == 0 {
		return nil, errors.New("allocate a script context: out of memory")
	}
	if q.rt = lib.XJS_NewRuntime2(q.tls, uintptr(unsafe.Pointer(&quickMalloc)), q.slot); q.rt == 0 {
		return nil, errors.New("make a QuickJS runtime: out of memory")
	}
	ctx := lib.XJS_NewContextRaw(q.tls, q.rt)
	if ctx == 0 {
		return nil, errors.New("make a QuickJS context: out of memory")
	}
	q.ctx = ctx
	add := []func(*libc.TLS, uintptr) int32{
		lib.XJS_AddIntrinsicBaseObjects, lib.XJS_AddIntrinsicDate, lib.XJS_AddIntrinsicStringNormalize, lib.XJS_AddIntrinsicRegExp,
		lib.XJS_AddIntrinsicJSON, lib.XJS_AddIntrinsicProxy, lib.XJS_AddIntrinsicMapSet, lib.XJS_AddIntrinsicTypedArrays,
		lib.XJS_AddIntrinsicPromise, lib.XJS_AddIntrinsicWeakRef,
	}
	if compiler {
		add = append(add, lib.XJS_AddIntrinsicEval)
	}
	for _, f := range add {
		if f(q.tls, ctx) != 0 {
			return nil, errors.New("make a QuickJS context: out of memory")
		}
	}
	lib.XJS_SetCanBlock(q.tls, q.rt, 0)
	lib.XJS_SetContextOpaque(q.tls, ctx, q.slot)
	lib.XJS_SetInterruptHandler(q.tls, q.rt, cfunc(quickInterrupt), q.slot)
	lib.XJS_SetHostPromiseRejectionTracker(q.tls, q.rt, cfunc(quickRejection), q.slot)
	return q, nil
}

// setLimits bounds what comes after what is loaded already.
func (q *quickRuntime) setLimits(memory, stack int64) {
	q.limit = memory
	lib.XJS_SetMemoryLimit(q.tls, q.rt, lib.Tsize_t(memory))
	lib.XJS_SetMaxStackSize(q.tls, q.rt, lib.Tsize_t(max(stack/stackSlotBytes, 64)))
}

// stackSlotBytes is what one of the engine's stack slots, about one JavaScript call, stands for.
const stackSlotBytes = 210

// close frees everything at once: no walk over the heap, so nothing in it can go wrong.
func (q *quickRuntime) close() {
	q.delist()
	if q.cells != 0 {
		libc.Xfree(q.tls, q.cells)
	}
	q.text.free(q.tls)
	q.tls.Close()
	q.arena.close()
}

// used is what the heap takes now, in bytes.
func (q *quickRuntime) used() int64 {
	return int64(q.jsRuntime().Fmalloc_ctx.Fmalloc_state.Fmalloc_size)
}

func (q *quickRuntime) freeValue(v lib.TJSValue) { lib.XFreeValue(q.tls, q.ctx, v) }

// newString makes a JavaScript string.
func (q *quickRuntime) newString(s string) lib.TJSValue {
	return lib.XJS_NewStringLen(q.tls, q.ctx, q.text.put(q.tls, s), lib.Tsize_t(len(s)))
}

// goString copies v, which toString is called on when it isn't a string; false when that threw.
func (q *quickRuntime) goString(v lib.TJSValue) (string, bool) {
	size := q.cells + 7*valueSize
	p := lib.XJS_ToCStringLen2(q.tls, q.ctx, size, v, 0)
	if p == 0 {
		return "", false
	}
	s := string(memory(p, uintptr(*(*lib.Tsize_t)(pointer(size)))))
	lib.XJS_FreeCString(q.tls, q.ctx, p)
	return s, true
}

// call calls f with up to three arguments, which stay the caller's.
func (q *quickRuntime) call(f, this lib.TJSValue, args ...lib.TJSValue) lib.TJSValue {
	for i, a := range args {
		*(*lib.TJSValue)(pointer(q.cells + uintptr(i)*valueSize)) = a
	}
	return lib.XJS_Call(q.tls, q.ctx, f, this, int32(len(args)), q.cells)
}

// property reads o[name]; exception when a getter threw.
func (q *quickRuntime) property(o lib.TJSValue, name string) lib.TJSValue {
	return lib.XJS_GetPropertyStr(q.tls, q.ctx, o, q.text.put(q.tls, name))
}

func isException(v lib.TJSValue) bool { return tagOf(v) == lib.EJS_TAG_EXCEPTION }
func isUndefined(v lib.TJSValue) bool { return tagOf(v) == lib.EJS_TAG_UNDEFINED }
func isObject(v lib.TJSValue) bool    { return tagOf(v) == lib.EJS_TAG_OBJECT }

// load reads bytecode that this process compiled.
func (q *quickRuntime) load(code []byte) lib.TJSValue {
	return lib.XJS_ReadObject(q.tls, q.ctx, q.text.putBytes(q.tls, code), lib.Tsize_t(len(code)), lib.MJS_READ_OBJ_BYTECODE)
}

// cbuffer is C memory that grows to what is put into it, with a zero after it.
type cbuffer struct {
	p, size uintptr
}

const cbufferKeep = 64 << 10 // a larger one is not kept for the next use

func (b *cbuffer) room(tls *libc.TLS, n int) uintptr {
	need := uintptr(n) + 1
	if need > b.size || b.size > cbufferKeep && need <= cbufferKeep {
		b.free(tls)
		b.size = max(need, 4096)
		if b.p = libc.Xmalloc(tls, lib.Tsize_t(b.size)); b.p == 0 {
			panic("out of memory")
		}
	}
	*(*byte)(pointer(b.p + uintptr(n))) = 0
	return b.p
}

func (b *cbuffer) put(tls *libc.TLS, s string) uintptr {
	p := b.room(tls, len(s))
	copy(memory(p, uintptr(len(s))), s)
	return p
}

func (b *cbuffer) putBytes(tls *libc.TLS, s []byte) uintptr {
	p := b.room(tls, len(s))
	copy(memory(p, uintptr(len(s))), s)
	return p
}

func (b *cbuffer) free(tls *libc.TLS) {
	if b.p != 0 {
		libc.Xfree(tls, b.p)
		*b = cbuffer{}
	}
}
