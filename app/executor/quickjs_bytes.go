package executor

import (
	"encoding/base64"
	"unicode/utf8"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

// The engine's part of the web's classes: it loads them, and converts bytes for them, which
// in JavaScript would take a hundred times as long.

func (q *quickRuntime) newNative(name string, f nativeFunc) lib.TJSValue {
	return lib.XJS_NewCFunction2(q.tls, q.ctx, cfunc(f), q.text.put(q.tls, name), 0, lib.EJS_CFUNC_generic, 0)
}

// codec are the functions that sdk.Modern is given, which tells what they do.
var codec = map[string]nativeFunc{"utf8": quickUTF8, "text": quickText, "base64": quickBase64, "unbase64": quickUnbase64}

// quickModern is (sdk) -> what the modern part answers.
func quickModern(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	if argc != 1 {
		return q.throw("TypeError: the SDK's tools are missing")
	}
	sdk := lib.XDupValue(tls, ctx, arguments(argc, argv)[0])
	defer q.freeValue(sdk)
	code := q.load(q.modern)
	if isException(code) {
		return code
	}
	f := lib.XJS_EvalFunction(tls, ctx, code)
	if isException(f) {
		return f
	}
	defer q.freeValue(f)
	tools := lib.XJS_NewObject(tls, ctx)
	defer q.freeValue(tools)
	for name, native := range codec {
		v := q.newNative(name, native)
		lib.XJS_SetPropertyStr(tls, ctx, tools, q.text.put(tls, name), v)
	}
	// Not q.call: its cells may hold the arguments of a call that is under way.
	args := libc.Xcalloc(tls, 2, lib.Tsize_t(valueSize))
	if args == 0 {
		return q.throw("out of memory")
	}
	defer libc.Xfree(tls, args)
	*(*lib.TJSValue)(pointer(args)), *(*lib.TJSValue)(pointer(args + valueSize)) = sdk, tools
	return lib.XJS_Call(tls, ctx, f, jsUndefined, 2, args)
}

// quickUTF8 is (text) -> ArrayBuffer.
func quickUTF8(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	if argc < 1 {
		return jsUndefined
	}
	s, ok := q.goString(arguments(argc, argv)[0])
	if !ok {
		return jsException
	}
	b := []byte(s)
	if !utf8.Valid(b) {
		replaceHalves(b)
	}
	return q.newBuffer(b)
}

// replaceHalves writes U+FFFD over half characters, which the engine writes in three bytes.
func replaceHalves(b []byte) {
	for i := 0; i+2 < len(b); i++ {
		if b[i] == 0xed && b[i+1] >= 0xa0 {
			b[i], b[i+1], b[i+2] = 0xef, 0xbf, 0xbd
		}
	}
}

// quickText is (buffer, from, n, fatal) -> string.
func quickText(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	b, ok := q.bufferPart(argc, argv)
	if !ok {
		return jsException
	}
	if utf8.Valid(b) {
		return q.newString(string(b))
	}
	if argc > 3 && lib.XJS_ToBool(tls, ctx, arguments(argc, argv)[3]) != 0 {
		return lib.XJS_ThrowTypeError(tls, ctx, q.text.put(tls, "the bytes are not UTF-8"), 0)
	}
	return q.newString(decodeUTF8(b))
}

// decodeUTF8 reads b as the web does: each longest beginning of a character that isn't one
// becomes one U+FFFD.
func decodeUTF8(b []byte) string {
	out := make([]byte, 0, len(b)+16)
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			n = brokenLength(b)
		}
		out = utf8.AppendRune(out, r)
		b = b[n:]
	}
	return string(out)
}

// brokenLength is how much of b, which begins with no character, could have been the
// beginning of one.
func brokenLength(b []byte) int {
	low, high, need := byte(0x80), byte(0xbf), 0
	switch c := b[0]; {
	case c >= 0xc2 && c <= 0xdf:
		need = 1
	case c >= 0xe0 && c <= 0xef:
		need = 2
	case c >= 0xf0 && c <= 0xf4:
		need = 3
	}
	switch b[0] {
	case 0xe0:
		low = 0xa0
	case 0xed:
		high = 0x9f
	case 0xf0:
		low = 0x90
	case 0xf4:
		high = 0x8f
	}
	n := 1
	for ; n <= need && n < len(b) && b[n] >= low && b[n] <= high; n++ {
		low, high = 0x80, 0xbf
	}
	return n
}

// quickBase64 is (buffer, from, n) -> string.
func quickBase64(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	b, ok := q.bufferPart(argc, argv)
	if !ok {
		return jsException
	}
	return q.newString(base64.StdEncoding.EncodeToString(b))
}

// quickUnbase64 is (text) -> ArrayBuffer or undefined. The padding may be missing.
func quickUnbase64(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, argc int32, argv uintptr) lib.TJSValue {
	q := quickAt(lib.XJS_GetContextOpaque(tls, ctx))
	if argc < 1 {
		return jsUndefined
	}
	s, ok := q.goString(arguments(argc, argv)[0])
	if !ok {
		return jsException
	}
	e := base64.StdEncoding
	if len(s)%4 != 0 {
		e = base64.RawStdEncoding
	}
	b, err := e.DecodeString(s)
	if err != nil {
		return jsUndefined
	}
	return q.newBuffer(b)
}

func (q *quickRuntime) newBuffer(b []byte) lib.TJSValue {
	return lib.XJS_NewArrayBufferCopy(q.tls, q.ctx, q.text.putBytes(q.tls, b), lib.Tsize_t(len(b)))
}

// bufferPart are the bytes that the arguments (buffer, from, n) select: the engine's own,
// good until it is called again. It reports false when it threw.
func (q *quickRuntime) bufferPart(argc int32, argv uintptr) ([]byte, bool) {
	args := arguments(argc, argv)
	if len(args) < 3 {
		q.throw("TypeError: a buffer's part is missing")
		return nil, false
	}
	size := q.cells + 7*valueSize
	p := lib.XJS_GetArrayBuffer(q.tls, q.ctx, size, args[0])
	all := *(*lib.Tsize_t)(pointer(size))
	if p == 0 {
		return nil, false
	}
	from, n := numberOf(args[1]), numberOf(args[2])
	if from < 0 || n < 0 || from+n > int64(all) {
		q.throw("RangeError: the buffer is shorter than that")
		return nil, false
	}
	return memory(p+uintptr(from), uintptr(n)), true
}

// numberOf is a whole number's value; -1 for what is none.
func numberOf(v lib.TJSValue) int64 {
	switch tagOf(v) {
	case lib.EJS_TAG_INT:
		return int64(int32Of(v))
	case lib.EJS_TAG_FLOAT64:
		return int64(float64Of(v))
	}
	return -1
}
