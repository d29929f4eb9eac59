package main

import (
	"errors"
	"fmt"
	"time"
	"unsafe"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

// bareJS is the engine alone: its own allocator, no limits, no interrupt handler, no SDK. 64-bit
// machines only.
type bareJS struct {
	tls     *libc.TLS
	rt, ctx uintptr
}

// The bare engine's one host function answers a number as text, as the SDK's host call does,
// through a string that goes in and one that comes out.
func bareHost(tls *libc.TLS, ctx uintptr, _ lib.TJSValue, _ int32, _ uintptr) lib.TJSValue {
	s, _ := libc.CString("1")
	defer libc.Xfree(tls, s)
	return lib.XJS_NewStringLen(tls, ctx, s, 1)
}

func functionPointer(f any) uintptr { return (*[2]uintptr)(unsafe.Pointer(&f))[1] }

func newBareJS() *bareJS {
	b := &bareJS{tls: libc.NewTLS()}
	b.rt = lib.XJS_NewRuntime(b.tls)
	b.ctx = lib.XJS_NewContext(b.tls, b.rt)
	return b
}

func (b *bareJS) close() {
	lib.XJS_FreeContext(b.tls, b.ctx)
	lib.XJS_FreeRuntime(b.tls, b.rt)
	b.tls.Close()
}

func (b *bareJS) eval(source string) (lib.TJSValue, error) {
	text, err := libc.CString(source)
	if err != nil {
		return lib.TJSValue{}, err
	}
	defer libc.Xfree(b.tls, text)
	name, err := libc.CString("bare.js")
	if err != nil {
		return lib.TJSValue{}, err
	}
	defer libc.Xfree(b.tls, name)
	v := lib.XJS_Eval(b.tls, b.ctx, text, lib.Tsize_t(len(source)), name, lib.MJS_EVAL_TYPE_GLOBAL)
	return v, b.failed(v)
}

func (b *bareJS) failed(v lib.TJSValue) error {
	if int32(v.Ftag) != lib.EJS_TAG_EXCEPTION {
		return nil
	}
	return errors.New(b.text(lib.XJS_GetException(b.tls, b.ctx)))
}

func (b *bareJS) text(v lib.TJSValue) string {
	p := lib.XJS_ToCStringLen2(b.tls, b.ctx, 0, v, 0)
	if p == 0 {
		return ""
	}
	defer lib.XJS_FreeCString(b.tls, b.ctx, p)
	return libc.GoString(p)
}

func (b *bareJS) call(f lib.TJSValue) error {
	v := lib.XJS_Call(b.tls, b.ctx, f, lib.TJSValue{Ftag: lib.EJS_TAG_UNDEFINED}, 0, 0)
	defer lib.XFreeValue(b.tls, b.ctx, v)
	return b.failed(v)
}

// setHost makes the host function a global.
func (b *bareJS) setHost() error {
	name, err := libc.CString("host")
	if err != nil {
		return err
	}
	defer libc.Xfree(b.tls, name)
	global := lib.XJS_GetGlobalObject(b.tls, b.ctx)
	defer lib.XFreeValue(b.tls, b.ctx, global)
	lib.XJS_SetPropertyStr(b.tls, b.ctx, global, name, lib.XJS_NewCFunction2(b.tls, b.ctx, functionPointer(bareHost), name, 0, lib.EJS_CFUNC_generic, 0))
	return nil
}

// bareCall calls the function that source evaluates to, in an engine that stays.
func bareCall(source string, per int) (func(time.Duration) (int, error), error) {
	b := newBareJS()
	if err := b.setHost(); err != nil {
		return nil, err
	}
	f, err := b.eval(source)
	if err != nil {
		return nil, fmt.Errorf("bare engine: %w", err)
	}
	return func(d time.Duration) (int, error) {
		n, err := repeated(1, func(int) error { return b.call(f) })(d)
		return n * per, err
	}, nil
}

// bareFirst makes an engine, compiles source, and runs it once.
func bareFirst(source string) error {
	b := newBareJS()
	defer b.close()
	v, err := b.eval("JSON.stringify(" + source + `({request: {query: {name: "bench"}}}))`)
	if err != nil {
		return err
	}
	defer lib.XFreeValue(b.tls, b.ctx, v)
	if got := b.text(v); got != helloBody {
		return fmt.Errorf("the bare engine answered %s", got)
	}
	return nil
}
