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
	modern   []byte // of the web's classes
	lockdown []byte
}

// quickProgram is bytecode. It is kept in memory only: its format belongs to one version of
// the engine, and loading it is not checked.
type quickProgram struct {
	file     string
	code     []byte
	commonJS bool // the code's value is a function (module, exports, require); else it is an ES module
	imports  []string
}

func (p *quickProgram) Bytes() int { return len(p.code) }

// Imports are the names after "app:" in its import statements.
func (p *quickProgram) Imports() []string { return p.imports }

const (
	compileArena  = 192 << 20
	compileMemory = 128 << 20
	compileTime   = 10 * time.Second

	// ownCompileTime is for the product's own code, which is the same everywhere: a start on a
	// machine that is busy may take long, but isn't to fail.
	ownCompileTime = 10 * time.Minute
)

// compiling bounds how many scripts are compiled at once: each may take compileMemory.
var compiling = make(chan struct{}, 2)

// newQuickJS makes the engine for one prelude and its modern part, see sdk.Modern.
func newQuickJS(prelude, modern string) (*quickJS, error) {
	e := &quickJS{}
	err := withCompiler(ownCompileTime, func(c *quickCompiler) (err error) {
		if e.prelude, err = c.compile("picloud.js", prelude, lib.MJS_EVAL_TYPE_GLOBAL); err != nil {
			return err
		}
		if e.modern, err = c.compile("picloud.js", modern, lib.MJS_EVAL_TYPE_GLOBAL); err != nil {
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
	err := withCompiler(compileTime, func(c *quickCompiler) error {
		code, err := c.compile(p.file, source, lib.MJS_EVAL_TYPE_MODULE)
		if err == nil && c.hasDefault {
			p.code, p.imports = code, c.imports
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

// CompileModule takes an ES module, whatever it exports.
func (e *quickJS) CompileModule(name, source string) (Program, error) {
	p := &quickProgram{file: scriptFile(name)}
	err := withCompiler(compileTime, func(c *quickCompiler) (err error) {
		p.code, err = c.compile(p.file, source, lib.MJS_EVAL_TYPE_MODULE)
		p.imports = c.imports
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

// withCompiler runs f, which may take so long, and fail or panic in any way.
func withCompiler(most time.Duration, f func(*quickCompiler) error) (err error) {
	compiling <- struct{}{}
	defer func() { <-compiling }()
	q, err := newQuickRuntime(compileArena, true)
	if err != nil {
		return err
	}
	defer func() { q.close() }()
	q.setLimits(compileMemory, defaultStack)
	q.imports = []string{}
	lib.XJS_SetModuleLoaderFunc(q.tls, q.rt, cfunc(quickImport), cfunc(quickStub), q.slot)
	began := time.Now()
	q.watched(sinceStart(began) + int64(most))
	old := debug.SetPanicOnFault(true)
	defer func() {
		r := recover()
		debug.SetPanicOnFault(old)
		q.unwatched()
		switch {
		case r == nil:
		case time.Since(began) >= most:
			err = compileTimeout("the script", most).WithCause(engineFault("compile", r))
		default:
			err = cloud.Errorf(cloud.Invalid, "the script can't be compiled: it is too large or nested too deeply").WithCause(engineFault("compile", r))
		}
	}()
	return f(&quickCompiler{quickRuntime: q})
}

// compileTimeout is not Invalid: on a machine that is very busy, any script takes too long.
func compileTimeout(what string, most time.Duration) *cloud.Error {
	return cloud.Errorf(cloud.Timeout, "%s took more than %d s to compile: try again when the machine is less busy, or make it smaller", what, most/time.Second)
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
		return cloud.Errorf(cloud.Invalid, "%s imports %s: a script can import only modules of its app, by \"app:name\"; everything else there is to use is built in", file, module)
	}
	line, column := int32Of(c.property(e, "lineNumber")), int32Of(c.property(e, "columnNumber"))
	return notCompiled(file, int(line), int(column), message)
}
