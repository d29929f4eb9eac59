package executor

import (
	"sync"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

// QuickJS looks at its budget at calls and loops of script code, not inside its own C loops.
// {length: 2**53-1} or a sparse array makes such a loop run for years. The functions listed
// here refuse lengths that no array in memory could have. The check is put under the native
// function itself, by exchanging its C pointer, so scripts can't see it or get round it, and
// a real array pays a few nanoseconds. A length that a getter or a proxy makes up anew each
// time gets past it; then the watchdog takes the arena away at the deadline.

// maxArrayLike is the longest that natives walk through.
const maxArrayLike = 5_000_000

// lengthCheck looks at a native's arguments; it returns an exception to refuse the call.
type lengthCheck = func(q *quickRuntime, this lib.TJSValue, args []lib.TJSValue) lib.TJSValue

// guarded says which natives are checked, and what of their arguments.
var guarded = []struct {
	holder []string // path from the global object
	names  []string
	check  lengthCheck
}{
	{[]string{"Array", "prototype"}, []string{
		"at", "concat", "copyWithin", "every", "fill", "filter", "find", "findIndex", "findLast", "findLastIndex", "flat", "flatMap",
		"forEach", "includes", "indexOf", "join", "lastIndexOf", "map", "pop", "push", "reduce", "reduceRight", "reverse", "shift",
		"slice", "some", "sort", "splice", "toLocaleString", "toReversed", "toSorted", "toSpliced", "toString", "unshift", "with",
		"values", "keys", "entries",
	}, checkThis},
	{[]string{"Array"}, []string{"from"}, checkArgument(0)},
	{[]string{"JSON"}, []string{"stringify"}, checkArgument(1)},
	{[]string{"String"}, []string{"raw"}, checkRaw},
}

func checkThis(q *quickRuntime, this lib.TJSValue, _ []lib.TJSValue) lib.TJSValue {
	return q.checkLength(this)
}

func checkArgument(i int) lengthCheck {
	return func(q *quickRuntime, _ lib.TJSValue, args []lib.TJSValue) lib.TJSValue {
		if i >= len(args) {
			return jsUndefined
		}
		return q.checkLength(args[i])
	}
}

// checkRaw looks at String.raw's template.raw.
func checkRaw(q *quickRuntime, _ lib.TJSValue, args []lib.TJSValue) lib.TJSValue {
	if len(args) == 0 || !isObject(args[0]) {
		return jsUndefined
	}
	raw := q.property(args[0], "raw")
	if isException(raw) {
		return raw
	}
	defer q.freeValue(raw)
	return q.checkLength(raw)
}

type (
	nativeFunc  = func(tls *libc.TLS, ctx uintptr, this lib.TJSValue, argc int32, argv uintptr) lib.TJSValue
	magicFunc   = func(tls *libc.TLS, ctx uintptr, this lib.TJSValue, argc int32, argv uintptr, magic int32) lib.TJSValue
	guardedFunc struct {
		f any     // keeps the closure alive: C knows only its address
		p uintptr // that address
	}
)

// guards are the checks that stand before natives, by the native's address.
var guards sync.Map // uintptr -> guardedFunc

// guardNatives puts the checks into a context.
func (q *quickRuntime) guardNatives() {
	global := lib.XJS_GetGlobalObject(q.tls, q.ctx)
	defer q.freeValue(global)
	for _, g := range guarded {
		holder := lib.XDupValue(q.tls, q.ctx, global)
		for _, name := range g.holder {
			next := q.property(holder, name)
			q.freeValue(holder)
			holder = next
		}
		for _, name := range g.names {
			f := q.property(holder, name)
			if isObject(f) {
				guardNative((*lib.TJSObject)(pointer(pointerOf(f))), g.check)
			}
			q.freeValue(f)
		}
		q.freeValue(holder)
	}
}

func guardNative(o *lib.TJSObject, check lengthCheck) {
	if o.Fclass_id != lib.EJS_CLASS_C_FUNCTION {
		return
	}
	native := &o.Fu.Fcfunc // zero-length view of a union
	c := (*struct {
		realm  uintptr
		f      uintptr
		length uint8
		proto  uint8
	})(unsafe.Pointer(native))
	if g, ok := guards.Load(c.f); ok {
		c.f = g.(guardedFunc).p
		return
	}
	var guard any
	switch original := c.f; c.proto {
	case lib.EJS_CFUNC_generic:
		guard = nativeGuard(original, check)
	case lib.EJS_CFUNC_generic_magic:
		guard = magicGuard(original, check)
	default:
		return
	}
	g, _ := guards.LoadOrStore(c.f, guardedFunc{guard, cfunc(guard)}) // another context may be first
	c.f = g.(guardedFunc).p
}

func nativeGuard(original uintptr, check lengthCheck) nativeFunc {
	call := *(*nativeFunc)(unsafe.Pointer(&original))
	return func(tls *libc.TLS, ctx uintptr, this lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
		q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
		if v := check(q, this, arguments(argc, argv)); isException(v) {
			return v
		}
		return call(tls, ctx, this, argc, argv)
	}
}

func magicGuard(original uintptr, check lengthCheck) magicFunc {
	call := *(*magicFunc)(unsafe.Pointer(&original))
	return func(tls *libc.TLS, ctx uintptr, this lib.TJSValue, argc int32, argv uintptr, magic int32) lib.TJSValue {
		q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
		if v := check(q, this, arguments(argc, argv)); isException(v) {
			return v
		}
		return call(tls, ctx, this, argc, argv, magic)
	}
}

func arguments(argc int32, argv uintptr) []lib.TJSValue {
	if argc <= 0 {
		return nil
	}
	return unsafe.Slice((*lib.TJSValue)(pointer(argv)), argc)
}

// checkLength throws when v claims to be longer than any array in memory. The length of a
// real array is its first property, so that is read without a look-up.
func (q *quickRuntime) checkLength(v lib.TJSValue) lib.TJSValue {
	if !isObject(v) {
		return jsUndefined
	}
	o := (*lib.TJSObject)(pointer(pointerOf(v)))
	if o.Fclass_id == lib.EJS_CLASS_ARRAY {
		return q.checkNumber(*(*lib.TJSValue)(pointer(o.Fprop)))
	}
	n := q.property(v, "length")
	if isException(n) {
		return n
	}
	defer q.freeValue(n)
	return q.checkNumber(n)
}

func (q *quickRuntime) checkNumber(n lib.TJSValue) lib.TJSValue {
	tag := tagOf(n)
	if tag == lib.EJS_TAG_INT && int32Of(n) > maxArrayLike || tag == lib.EJS_TAG_FLOAT64 && float64Of(n) > maxArrayLike {
		return lib.XJS_ThrowRangeError(q.tls, q.ctx, q.text.put(q.tls, "array too long: its length is beyond what fits into memory"), 0)
	}
	return jsUndefined
}
