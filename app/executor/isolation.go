package executor

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// Where scripts run: PICLOUD_ISOLATION.
const (
	InProcess = "inprocess" // in the instance's own process
	Process   = "process"   // in worker processes that have no rights and can be killed
)

// kit is what a worker needs of the SDK. The instance compiles it, of its own source.
type kit struct {
	quick *quickJS // nil when the engine is not enabled
	otto  string   // otto's prelude, which every worker parses: it has no bytecode
}

func (k *kit) write(m *message) {
	quick := k.quick
	if quick == nil {
		quick = &quickJS{}
	}
	m.bytes(quick.prelude)
	m.bytes(quick.modern)
	m.bytes(quick.lockdown)
	m.text(k.otto)
}

func kitOf(f *fields) *kit {
	k := &kit{quick: &quickJS{}}
	for _, part := range []*[]byte{&k.quick.prelude, &k.quick.modern, &k.quick.lockdown} {
		*part = slices.Clone(f.part())
	}
	k.otto = f.text()
	return k
}

func (k *kit) engine(name string) (Engine, error) {
	if name == cloud.EngineQuickJS && len(k.quick.prelude) > 0 {
		return k.quick, nil
	}
	if name == cloud.EngineOtto && k.otto != "" {
		return newOtto(k.otto)
	}
	return nil, fmt.Errorf("isolated worker: no engine %q", name)
}

// processEngine runs the scripts of one app with one of the engines, in workers. Sources are
// compiled there too: a parser is as easy to attack as what runs.
type processEngine struct {
	workers *workers
	name    string
	app     cloud.AppID
}

// processProgram is a compiled script as its app's workers understand it. The instance doesn't
// look inside.
type processProgram struct {
	file    string
	code    []byte
	imports []string
}

func (p *processProgram) Bytes() int        { return len(p.code) }
func (p *processProgram) Imports() []string { return p.imports }

// packed makes bytes of a program that unpacked understands.
func packed(p Program, name, source string) []byte {
	var m message
	switch p := p.(type) {
	case *quickProgram:
		m.text(p.file)
		m.flag(p.commonJS)
		m.bytes(p.code)
	case *ottoProgram:
		m.text(name)
		m.text(source)
	}
	return m.b
}

func unpacked(e Engine, b []byte) (Program, error) {
	f := &fields{b: b}
	if _, quick := e.(*quickJS); quick {
		p := &quickProgram{file: f.text(), commonJS: f.flag(), code: f.part()}
		return p, f.end()
	}
	name, source := f.text(), f.text()
	if err := f.end(); err != nil {
		return nil, err
	}
	return e.Compile(name, source)
}

func (e *processEngine) Compile(name, source string) (Program, error) {
	return e.compile(false, name, source)
}

func (e *processEngine) CompileModule(name, source string) (Program, error) {
	return e.compile(true, name, source)
}

// Bounds of what a worker answers to a source.
const (
	maxCode    = 64 << 20 // bytes
	maxImports = 4096
)

// compile has a worker compile. One that was killed from outside is replaced once.
func (e *processEngine) compile(module bool, name, source string) (Program, error) {
	p, err := e.compileOnce(module, name, source)
	if _, lost := errors.AsType[*lostWorker](err); lost {
		return e.compileOnce(module, name, source)
	}
	return p, err
}

func (e *processEngine) compileOnce(module bool, name, source string) (Program, error) {
	w, err := e.workers.forCompiling(e.app)
	if err != nil {
		return nil, err
	}
	defer e.workers.compiled(w)
	return e.compileIn(w, module, name, source)
}

func (e *processEngine) compileIn(w *worker, module bool, name, source string) (Program, error) {
	defer w.killAfter(time.Now().Add(compileTime + workerGrace))()
	at := w.out.begin(frameCompile)
	w.out.text(e.name)
	w.out.flag(module)
	w.out.text(name)
	w.out.text(source)
	if err := errors.Join(w.out.end(at), w.send()); err != nil {
		return nil, e.notCompiled(w, name)
	}
	w.in.most = maxCode
	kind, f, err := w.in.next()
	if err != nil {
		if errors.Is(err, errFrameSize) {
			w.kill(endNonsense)
		}
		return nil, e.notCompiled(w, name)
	}
	p, err := readCompiled(kind, f, scriptFile(name))
	if errors.Is(err, errFrameText) {
		w.kill(endNonsense)
		return nil, e.notCompiled(w, name)
	}
	return p, err
}

// readCompiled reads the answer to a source.
func readCompiled(kind frameKind, f *fields, file string) (Program, error) {
	if kind != frameCompiled {
		return nil, errFrameText
	}
	if !f.flag() {
		k, message := cloud.Kind(f.text()), f.text()
		if err := f.end(); err != nil || k != cloud.Invalid && k != cloud.Timeout && k != cloud.Internal {
			return nil, errFrameText
		}
		if k == cloud.Internal {
			return nil, fmt.Errorf("isolated worker: compile %s: %s", file, clip(message, 4096))
		}
		return nil, cloud.Errorf(k, "%s", clip(message, 4096))
	}
	p := &processProgram{file: file, code: slices.Clone(f.part())}
	for range f.count(maxImports) {
		p.imports = append(p.imports, f.text())
	}
	return p, f.end()
}

// notCompiled is the error of a source whose worker ended over it.
func (e *processEngine) notCompiled(w *worker, name string) error {
	w.wait()
	if lost := w.lost(); lost != nil {
		return lost
	}
	switch w.why() {
	case endStop:
		return cloud.Errorf(cloud.Overloaded, stopping)
	case endTime:
		return compileTimeout(scriptFile(name), compileTime)
	}
	return cloud.Errorf(cloud.Invalid, "%s can't be compiled: it is too large or nested too deeply", scriptFile(name))
}

// NewContext makes a context that takes place in a worker when it first runs.
func (e *processEngine) NewContext(p Program, l cloud.Limits, modules ...Program) (Context, error) {
	c := &processContext{e: e, limits: l, file: p.(*processProgram).file, programs: []*processProgram{p.(*processProgram)}}
	for _, m := range modules {
		c.programs = append(c.programs, m.(*processProgram))
	}
	return c, nil
}

// failureOf reads a worker's failure; ended is the fatal error of a host call in that run.
// What a failure may be is decided here, not by the worker.
func failureOf(b []byte, ended error, file string) (*Failure, error) {
	var t toldFailure
	if err := json.Unmarshal(b, &t); err != nil || t.Ended != (ended != nil) {
		return nil, errFrameText
	}
	trace := t.Trace
	trace.Message, trace.Stack, trace.File = clip(trace.Message, 4096), clip(trace.Stack, 8192), clip(trace.File, 256)
	f := &Failure{Trace: &trace, Stuck: t.Stuck}
	if t.Thrown != nil {
		f.Thrown = &sdk.Thrown{Name: clip(t.Thrown.Name, 256), Message: clip(t.Thrown.Message, 4096), Stack: clip(t.Thrown.Stack, 8192), Code: clip(t.Thrown.Code, 64)}
	}
	switch {
	case ended != nil:
		return located(hostFailure(ended, file), &trace), nil
	case t.Kind == cloud.ScriptError:
		f.Err = thrown(&trace).Err
	case t.Kind == cloud.Timeout, t.Kind == cloud.BudgetExceeded, t.Kind == cloud.Invalid:
		f.Err = cloud.Errorf(t.Kind, "%s", clip(t.Message, 4096))
	case t.Kind == cloud.Internal:
		f.Err = fmt.Errorf("isolated worker: %s", clip(t.Message, 8192))
	default:
		return nil, errFrameText
	}
	return f, nil
}

// located adds the place where a script was when its execution ended.
func located(f *Failure, at *cloud.Trace) *Failure {
	if f.Trace.Line == 0 { // else it was in a script that this one invoked
		f.Trace.File, f.Trace.Line, f.Trace.Column = at.File, at.Line, at.Column
	}
	f.Trace.Stack += at.Stack
	return f
}
