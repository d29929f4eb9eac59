// Package executor runs scripts: the gate, the compile cache, warm contexts, the engines
// and the execution log.
package executor

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/app/sdk"
	"picloud/db"
)

// Scripts finds a script's current version; the error is NotFound when it is gone.
// *control.Control is the real one, and answers from memory.
type Scripts interface {
	Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error)
	// ScriptNamed finds one of app's by its name.
	ScriptNamed(ctx context.Context, app cloud.AppID, name string) (*cloud.Script, error)
}

// Options of New. The zero value of each field but Scripts works.
type Options struct {
	Scripts  Scripts
	Services sdk.Services
	Log      *Log     // keeps what Record is told; nil keeps nothing
	Engines  []string // that scripts may use; quickjs

	Isolation string // InProcess or Process; InProcess
	Workers   int    // processes that run scripts at once with Process; Concurrent, which is also the most

	MaxDepth   int          // how deep scripts may invoke each other, counted with the triggers' depth; 8
	Concurrent int          // executions at once, the gate's size; DefaultGateSize
	Memory     int64        // bytes all contexts may take together; half of the machine's
	Ceiling    cloud.Limits // most that a script may ask for; see Limits
	Logger     *slog.Logger
}

// Executor runs invocations. It is the outbox.Runner.
type Executor struct {
	scripts  Scripts
	services sdk.Services
	log      *Log
	logger   *slog.Logger
	engines  map[string]Engine
	workers  *workers // with process isolation; else nil
	enabled  []string
	maxDepth int
	defaults cloud.Limits // for limits that a script leaves open
	ceiling  cloud.Limits
	programs *programs
	pool     *pool
	overruns *overruns
	metrics  *metrics
	refused  sync.Map // scriptKey -> error: what an engine could not stop
}

// New makes an executor. It fails when the SDK doesn't load in an engine.
func New(o Options) (*Executor, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if len(o.Engines) == 0 {
		o.Engines = []string{cloud.EngineQuickJS}
	}
	if o.Concurrent <= 0 {
		o.Concurrent = DefaultGateSize()
	}
	if o.MaxDepth <= 0 {
		o.MaxDepth = 8
	}
	if o.Memory <= 0 {
		o.Memory = machineMemory() / 2
	}
	e := &Executor{
		scripts: o.Scripts, services: o.Services, log: o.Log, logger: o.Logger,
		engines: map[string]Engine{}, enabled: o.Engines, maxDepth: o.MaxDepth,
		programs: newPrograms(), pool: newPool(o.Concurrent, o.Memory/4), overruns: newOverruns(), metrics: newMetrics(),
	}
	e.defaults, e.ceiling = limitsFor(o.Memory, o.Concurrent, o.Ceiling)
	for _, name := range o.Engines {
		newEngine, ok := engines[name]
		if !ok {
			return nil, cloud.Errorf(cloud.Invalid, "PICLOUD_ENGINES: there is no engine %q, only quickjs and otto", name)
		}
		var err error
		if e.engines[name], err = newEngine(); err != nil {
			return nil, fmt.Errorf("engine %s: %w", name, err)
		}
	}
	if o.Isolation == Process {
		return e, e.isolate(o)
	}
	return e, nil
}

// isolate has worker processes do what the engines would do in this one.
func (e *Executor) isolate(o Options) error {
	if err := isolated(); err != nil {
		return err
	}
	k := &kit{}
	if k.quick, _ = e.engines[cloud.EngineQuickJS].(*quickJS); e.engines[cloud.EngineOtto] != nil {
		k.otto = sdk.Prelude
	}
	if o.Workers <= 0 || o.Workers > o.Concurrent {
		o.Workers = o.Concurrent
	}
	e.overruns = nil // nothing computes in this process
	e.workers = newWorkers(k, o.Workers, o.Memory/4, e.ceiling, e.logger)
	return e.workers.try()
}

// engines are all there are.
var engines = map[string]func() (Engine, error){
	cloud.EngineQuickJS: func() (Engine, error) { return newQuickJS(sdk.Prelude, sdk.Modern) },
	cloud.EngineOtto:    func() (Engine, error) { return newOtto(sdk.Prelude) },
}

// Close frees all contexts that nothing runs in, and ends all workers.
func (e *Executor) Close() {
	e.pool.close()
	if e.workers != nil {
		e.workers.close()
	}
}

// Forget drops what is kept for a script that was deleted.
func (e *Executor) Forget(id cloud.ScriptID) {
	e.pool.forget(id)
	e.programs.forget(id)
	e.metrics.forget(id)
}

// Limits are the instance's defaults and ceilings, for people who set a script's own.
func (e *Executor) Limits() (defaults, ceiling cloud.Limits) { return e.defaults, e.ceiling }

// Engines are the ones that scripts may use.
func (e *Executor) Engines() []string { return slices.Clone(e.enabled) }

// Run runs inv once, as outbox.Runner says. The time limit counts from its start.
func (e *Executor) Run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error) (*cloud.Result, outbox.Effects) {
	started := time.Now()
	res, effects := e.run(ctx, inv, hold, started)
	res.Started = cloud.TimeOf(started)
	res.DurationMS = float64(time.Since(started).Microseconds()) / 1000
	return res, effects
}

func (e *Executor) run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error, started time.Time) (*cloud.Result, outbox.Effects) {
	script, err := e.scripts.Script(ctx, inv.Script)
	if err != nil {
		if cloud.KindOf(err) == cloud.NotFound {
			err = cloud.Errorf(cloud.NotFound, "the script %s does not exist any more", inv.Script)
		}
		return failed(&Failure{Err: err}, script), nil
	}
	if script.Kind == cloud.KindModule {
		return failed(&Failure{Err: cloud.Errorf(cloud.Invalid, "%s is a module, which others import: it can't be run", script.Name)}, script), nil
	}
	deadline := started.Add(time.Duration(script.TimeoutSeconds) * time.Second)
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d // of a re-run
	}
	limits := e.limits(script)
	for again := e.workers != nil; ; again = false {
		call := sdk.NewCall(ctx, e.services, inv, script, deadline, limits, hold)
		res, effects := e.attempt(call, limits)
		if _, lost := errors.AsType[*lostWorker](res.Err); !lost || !again || ctx.Err() != nil || call.Unit != nil && !call.Unit.Repeatable() {
			return res, effects
		}
		if effects != nil {
			effects.Close() // the worker was killed from outside: nothing has happened, so once more
		}
	}
}

// attempt runs a script once, on the unit of work of its call.
func (e *Executor) attempt(call *sdk.Call, limits cloud.Limits) (*cloud.Result, outbox.Effects) {
	script := call.Script
	c, err := e.context(call.Ctx, script, limits)
	if err != nil {
		return failed(&Failure{Err: err}, script), nil
	}
	stint := e.overruns.begin()
	f := &frame{e: e, call: call, context: c, stint: stint}
	call.Invoker = f
	finished, fail := c.Run(call, Budget{Ctx: call.Ctx, Deadline: call.Deadline, Limits: limits, Stint: stint})
	overran := stint.end()
	e.pool.give(keyOf(script), c, script.Isolation == cloud.IsolationFresh)
	if fail != nil && (fail.Stuck || f.stuck) {
		if fail.Stuck {
			e.stuck(script, call.Inv)
		}
		if call.Unit != nil {
			call.Unit.Close() // the engine still holds the call: nothing else of it may be touched
		}
		res := failed(fail, script)
		res.Overran = overran
		return res, nil
	}
	res := e.result(finished, fail, script, limits)
	res.Overran = overran
	res.Logs = call.Logs()
	call.Redact(res)
	return res, effectsOf(call)
}

// effectsOf keeps a nil unit a nil interface.
func effectsOf(call *sdk.Call) outbox.Effects {
	if call.Unit == nil {
		return nil
	}
	return call.Unit
}

// result makes the Result of a run that ended.
func (e *Executor) result(finished string, fail *Failure, script *cloud.Script, limits cloud.Limits) *cloud.Result {
	if fail != nil {
		return failed(fail, script)
	}
	res, err := sdk.Answer([]byte(finished), limits.OutputBytes)
	if err != nil {
		return failed(&Failure{Err: err, Trace: &cloud.Trace{Message: cloud.Message(err), File: scriptFile(script.Name)}}, script)
	}
	res.ScriptVersion = script.Version
	return res
}

// failed is the Result of a failure. What isn't meant for people keeps its cause, which
// outbox looks for, under a message that is.
func failed(f *Failure, script *cloud.Script) *cloud.Result {
	res := &cloud.Result{Err: f.Err, Trace: f.Trace, StatusCode: cloud.KindOf(f.Err).Status()}
	if res.Trace == nil {
		res.Trace = &cloud.Trace{Message: cloud.Message(f.Err)}
	}
	if script != nil {
		res.ScriptVersion = script.Version
	}
	return res
}

// context finds a warm context for the script or makes one.
func (e *Executor) context(ctx context.Context, script *cloud.Script, limits cloud.Limits) (Context, error) {
	key := keyOf(script)
	if why, ok := e.refused.Load(key); ok {
		return nil, why.(error)
	}
	if script.Isolation != cloud.IsolationFresh {
		if c := e.pool.take(key); c != nil {
			return c, nil
		}
	}
	engine, err := e.engine(script)
	if err != nil {
		return nil, err
	}
	p, err := e.program(ctx, engine, script)
	if err != nil {
		return nil, err
	}
	if script.Linked == nil {
		return engine.NewContext(p, limits)
	}
	modules := make([]Program, len(script.Linked.Modules))
	for i, m := range script.Linked.Modules {
		if modules[i], err = e.program(ctx, engine, m); err != nil {
			return nil, err
		}
	}
	return engine.NewContext(p, limits, modules...)
}

// program compiles one script's own source, once per version.
func (e *Executor) program(ctx context.Context, engine Engine, s *cloud.Script) (Program, error) {
	return e.programs.get(ctx, fileKey(s), func() (Program, error) { return compile(engine, s) })
}

func compile(engine Engine, s *cloud.Script) (Program, error) {
	if s.Kind == cloud.KindModule {
		return engine.CompileModule(s.Name, s.Source)
	}
	return engine.Compile(s.Name, s.Source)
}

func (e *Executor) engine(script *cloud.Script) (Engine, error) {
	name := script.Engine
	if name == "" {
		name = cloud.EngineQuickJS
	}
	engine, ok := e.engines[name]
	if !ok {
		return nil, cloud.Errorf(cloud.Invalid, "the engine %q is not enabled on this instance (PICLOUD_ENGINES=%s)", name, strings.Join(e.enabled, ","))
	}
	if e.workers != nil {
		return e.workers.engine(name, script.AppID), nil
	}
	return engine, nil
}

// stuck remembers that an engine could not stop a script: it is not run again until it is saved anew.
func (e *Executor) stuck(script *cloud.Script, inv *cloud.Invocation) {
	e.metrics.stuck.Inc()
	e.refused.Store(keyOf(script), cloud.Errorf(cloud.Invalid,
		"version %d of this script did not end when its time was up and can't be stopped: it is not run again until a new version is saved", script.Version))
	e.logger.Error("script can't be stopped", "app", inv.App, "script", script.ID, "version", script.Version, "exec", inv.ID)
}

// Record counts an execution and keeps it in the log.
func (e *Executor) Record(inv *cloud.Invocation, res *cloud.Result) {
	e.metrics.record(inv, res)
	if e.log != nil {
		e.log.Record(inv, res)
	}
	if res.Err != nil && cloud.KindOf(res.Err) == cloud.Internal && !errors.Is(res.Err, context.Canceled) {
		e.logger.Error("execution failed inside PiCloud", "app", inv.App, "script", inv.Script, "exec", inv.ID, "err", res.Err)
	}
}

// maxSource is the longest script, in bytes.
const maxSource = 1 << 20

// Check compiles s as a save would and checks its limits against the instance's ceiling; the
// error is Invalid and names line and column. It fills in s.Imports. control calls it before it
// stores.
func (e *Executor) Check(ctx context.Context, s *cloud.Script) error {
	if len(s.Source) > maxSource {
		return cloud.Errorf(cloud.Invalid, "source: %d bytes are more than the %d a script may have", len(s.Source), maxSource)
	}
	if err := e.checkLimits(s); err != nil {
		return err
	}
	engine, err := e.engine(s)
	if err != nil {
		return err
	}
	p, err := compile(engine, s)
	if err != nil {
		return err
	}
	s.Imports = strings.Join(p.Imports(), "\n")
	return nil
}
