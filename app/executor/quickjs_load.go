package executor

import (
	"slices"
	"strings"

	"modernc.org/libc"
	lib "modernc.org/libquickjs"
)

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
		e := lib.XJS_GetException(c.tls, c.ctx)
		defer c.freeValue(e)
		if c.stopped() {
			c.noteStack(e)
			return &Failure{} // the verdict follows
		}
		return c.failure(e)
	}
	if h = c.handlerOf(h); isException(h) {
		e := lib.XJS_GetException(c.tls, c.ctx)
		defer c.freeValue(e)
		return c.failure(e)
	}
	if isUndefined(h) {
		return noHandler(c.program.file)
	}
	c.handler = h
	return nil
}

// handlerOf is what handles events of an export x, which it takes: x itself when it is a
// function, the adapter of an object with a fetch method, else undefined.
func (c *quickContext) handlerOf(x lib.TJSValue) lib.TJSValue {
	if lib.XJS_IsFunction(c.tls, c.ctx, x) != 0 {
		return x
	}
	defer c.freeValue(x)
	if !isObject(x) {
		return jsUndefined
	}
	return c.call(c.adapt, jsUndefined, x)
}

func (c *quickContext) esHandler() lib.TJSValue {
	for _, p := range c.modules { // the engine finds them by name when it resolves imports
		if m := c.load(p.code); isException(m) {
			return m
		}
	}
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

// importScheme is what names of modules begin with in import statements.
const importScheme = "app:"

// quickImport is the name that a module has in the engine, that of its file, for the name that
// an import statement gives.
func quickImport(tls *libc.TLS, ctx, _, name, slot uintptr) uintptr {
	q := quickAt(slot)
	text := libc.GoString(name)
	if app, ok := strings.CutPrefix(text, importScheme); ok && app != "" {
		if q.imports != nil && !slices.Contains(q.imports, app) {
			q.imports = append(q.imports, app)
		}
		text = scriptFile(app)
	}
	return lib.Xjs_strdup(tls, ctx, q.text.put(tls, text))
}

// quickStub stands for every module of the app while a script is compiled by itself.
func quickStub(tls *libc.TLS, ctx, name, slot uintptr) uintptr {
	q := quickAt(slot)
	file := libc.GoString(name)
	if app, ok := strings.CutSuffix(file, scriptFile("")); ok && slices.Contains(q.imports, app) {
		return lib.XJS_NewCModule(tls, ctx, name, 0)
	}
	message := strings.ReplaceAll("could not load module '"+file+"'", "%", "%%") // it is a format
	lib.XJS_ThrowReferenceError(tls, ctx, q.text.put(tls, message), 0)
	return 0
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
	for _, name := range []string{"fetch", "default", "handler"} {
		if isObject(x) && lib.XJS_IsFunction(c.tls, c.ctx, x) == 0 {
			if h := c.property(x, name); !isUndefined(h) && name != "fetch" {
				return h
			} else if !isUndefined(h) {
				return x
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
