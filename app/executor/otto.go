package executor

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/robertkrimen/otto"
	"github.com/robertkrimen/otto/parser"

	"picloud/app/cloud"
)

// ottoJS is the second engine: ES5 and CommonJS, for scripts that the operator trusts. It
// has no memory limit, and natives that never look at the interrupt can't be stopped.
type ottoJS struct {
	prelude *otto.Script
	glue    *otto.Script
}

type ottoProgram struct {
	file   string
	script *otto.Script
	bytes  int
}

func (p *ottoProgram) Bytes() int { return p.bytes }

// Imports are none: otto knows no modules.
func (p *ottoProgram) Imports() []string { return nil }

// Bounds of a source for otto, whose parser and evaluator recurse on the Go stack, which
// nobody can recover from when it overflows.
const (
	ottoSource  = 256 << 10 // bytes
	ottoNesting = 500       // brackets
	ottoChain   = 5000      // operators in one expression
	ottoDepth   = 400       // calls
	ottoGrace   = 2 * time.Second
)

// ottoGlue runs one execution in JavaScript, where an exception keeps its value.
const ottoGlue = `(function (inner) {
  "use strict";
  function told(e) { var s = inner.fail(e); return s ? "=" + s : "!" + inner.describe(e); }
  return {
    load: function (f, require) {
      try {
        var module = { exports: {} };
        f.call(module.exports, module, module.exports, require);
        var x = module.exports;
        if (typeof x !== "function" && x) {
        if (typeof x.fetch === "function") { throw new TypeError("fetch handlers need the engine quickjs"); }
        x = x["default"] || x.handler;
      }
        this.handler = x;
        return typeof x === "function" ? "" : "?";
      } catch (e) { return told(e); }
    },
    run: function (json) {
      try { var h = this.handler; return "=" + inner.finish(h(inner.begin(json))); } catch (e) { return told(e); }
    }
  };
})`

func newOtto(prelude string) (*ottoJS, error) {
	vm := otto.New()
	p, err := vm.Compile("picloud.js", prelude)
	if err != nil {
		return nil, fmt.Errorf("compile the SDK: %w", err)
	}
	g, err := vm.Compile("picloud.js", ottoGlue)
	if err != nil {
		return nil, fmt.Errorf("compile the SDK: %w", err)
	}
	return &ottoJS{p, g}, nil
}

// Compile takes a CommonJS module in ES5.
func (e *ottoJS) Compile(name, source string) (p Program, err error) {
	file := scriptFile(name)
	defer func() {
		if r := recover(); r != nil {
			err = cloud.Errorf(cloud.Invalid, "%s can't be compiled", file).WithCause(engineFault("otto", r))
		}
	}()
	if len(source) > ottoSource {
		return nil, cloud.Errorf(cloud.Invalid, "%s: %d bytes are more than the %d that otto takes", file, len(source), ottoSource)
	}
	if err := boundNesting(file, source); err != nil {
		return nil, err
	}
	if _, err := parser.ParseFile(nil, file, source, 0); err != nil {
		if importLine.MatchString(source) {
			return nil, cloud.Errorf(cloud.Invalid, "%s: otto knows no modules: use the engine quickjs to import them (%s)", file, cloud.Message(ottoSyntax(file, err)))
		}
		return nil, ottoSyntax(file, err)
	}
	if !exportsWord.MatchString(source) {
		return nil, cloud.Errorf(cloud.Invalid, "%s exports nothing: write module.exports = function (ctx) { … } (otto knows no ES modules)", file)
	}
	s, err := otto.New().Compile(file, commonJSHead+source+"\n})")
	if err != nil {
		return nil, ottoSyntax(file, err)
	}
	return &ottoProgram{file, s, 10 * len(source)}, nil
}

var importLine = regexp.MustCompile(`(?m)^\s*import\b.*["']app:`)

func ottoSyntax(file string, err error) error {
	if list, ok := errors.AsType[*parser.ErrorList](err); ok && len(*list) > 0 {
		first := (*list)[0]
		return notCompiled(file, first.Position.Line, first.Position.Column, first.Message)
	}
	return notCompiled(file, 0, 0, err.Error())
}

// boundNesting refuses what would nest too deeply, before anything parses it. It counts
// brackets, and operators between two commas or semicolons on one level. Strings and
// comments count too: the bounds leave room for them.
func boundNesting(file, source string) error {
	chain := make([]int, 1, ottoNesting+1)
	line := 1
	for i := range len(source) {
		top := len(chain) - 1
		switch source[i] {
		case '\n':
			line++
		case '(', '[', '{':
			chain[top]++
			if chain = append(chain, 0); len(chain) > ottoNesting {
				return notCompiled(file, line, 1, "nested too deeply")
			}
		case ')', ']', '}':
			if top > 0 {
				chain = chain[:top]
			}
		case ',', ';':
			chain[top] = 0
		case '!', '~', '-', '+', '?', '=', '|', '&', '*', '/', '%', '<', '>', '^', '.', ':':
			if chain[top]++; chain[top] > ottoChain {
				return notCompiled(file, line, 1, "an expression is too long")
			}
		}
	}
	return nil
}

// ottoContext runs one script on a goroutine of its own per run: only the end of the
// goroutine can't be caught by otto's try and catch.
type ottoContext struct {
	vm      *otto.Otto
	program *ottoProgram
	inner   *otto.Object // of ottoGlue
	loaded  bool
	loading bool
	runs    int
	spent   bool
	host    Host

	ops, most int64
	due       time.Time
	over      context.Context
	stop      *Failure // why the interrupt ended it
	abandoned atomic.Bool
}

// CompileModule refuses: otto knows no modules.
func (e *ottoJS) CompileModule(name, _ string) (Program, error) {
	return nil, cloud.Errorf(cloud.Invalid, "%s: otto knows no modules: use the engine quickjs", scriptFile(name))
}

func (e *ottoJS) NewContext(p Program, _ cloud.Limits, _ ...Program) (_ Context, err error) {
	c := &ottoContext{vm: otto.New(), program: p.(*ottoProgram)}
	defer func() {
		if r := recover(); r != nil {
			err = engineFault("make a context", r)
		}
	}()
	c.vm.SetStackDepthLimit(ottoDepth)
	prelude, err := c.vm.Run(e.prelude)
	if err != nil {
		return nil, fmt.Errorf("load the SDK: %w", err)
	}
	surface, err := prelude.Call(otto.UndefinedValue(), c.hostCall)
	if err != nil {
		return nil, fmt.Errorf("load the SDK: %w", err)
	}
	glue, err := c.vm.Run(e.glue)
	if err != nil {
		return nil, fmt.Errorf("load the SDK: %w", err)
	}
	inner, err := glue.Call(otto.UndefinedValue(), surface)
	if err != nil {
		return nil, fmt.Errorf("load the SDK: %w", err)
	}
	c.inner = inner.Object()
	_, err = c.vm.Run(ottoLockdown)
	return c, err
}

// ottoLockdown takes away what parses text, which nothing would bound.
const ottoLockdown = `(function (global) {
  Function.prototype.constructor = undefined;
  delete global.eval; delete global.Function; delete global.console;
  global.eval = undefined; global.Function = undefined;
})(this)`

func (c *ottoContext) hostCall(call otto.FunctionCall) otto.Value {
	op, args := call.Argument(0).String(), call.Argument(1).String()
	if c.loading && touchesData(op) {
		return ottoString(dataWhileLoading(op))
	}
	out, fatal := c.host.Host(op, args)
	if fatal != nil {
		c.stop = hostFailure(fatal, c.program.file)
		runtime.Goexit()
	}
	return ottoString(out)
}

func ottoString(s string) otto.Value {
	v, _ := otto.ToValue(s) // a string can't fail
	return v
}

// tick is what the interrupt channel calls before each statement and expression.
func (c *ottoContext) tick() {
	c.vm.Interrupt <- c.tick // capacity 1: armed again
	c.ops++
	switch {
	case c.stop != nil:
	case c.ops > c.most:
		c.stop = verdictOperations(c.program.file, c.most)
	case c.ops%256 == 0 && (c.abandoned.Load() || time.Now().After(c.due)):
		c.stop = verdictTime(c.program.file)
	case c.ops%4096 == 0 && c.over.Err() != nil:
		c.stop = calledOff(c.program.file, c.over)
	}
	if c.stop != nil {
		runtime.Goexit()
	}
}

// Run runs the handler once. When it doesn't end although its time is up it is left behind,
// stuck.
func (c *ottoContext) Run(h Host, b Budget) (string, *Failure) {
	c.host, c.ops, c.most, c.due, c.over, c.stop = h, 0, b.Limits.Operations, b.Deadline, b.Ctx, nil
	c.vm.Interrupt = make(chan func(), 1)
	c.vm.Interrupt <- c.tick
	c.runs++
	type answer struct {
		finished string
		fail     *Failure
	}
	done := make(chan answer, 1)
	go func() {
		var a answer
		ended := false
		defer func() {
			r := recover()
			switch {
			case c.stop != nil:
				a = answer{fail: c.stop}
			case r != nil:
				a = answer{fail: &Failure{Err: engineFault("run "+c.program.file, r), Trace: &cloud.Trace{Message: "the engine failed", File: c.program.file}}}
			case !ended:
				a = answer{fail: verdictTime(c.program.file)}
			}
			if c.stop != nil || !ended {
				c.spent = true
			}
			done <- a
		}()
		a.finished, a.fail = c.execute()
		ended = true
	}()
	timer := time.NewTimer(time.Until(b.Deadline) + ottoGrace/time.Duration(1+b.Nested)) // before that of the script that waits for it
	defer timer.Stop()
	select {
	case a := <-done:
		return a.finished, a.fail
	case <-timer.C:
		c.abandoned.Store(true)
		f := verdictTime(c.program.file)
		f.Stuck = true
		return "", f
	}
}

func (c *ottoContext) execute() (string, *Failure) {
	if !c.loaded {
		if fail := c.load(); fail != nil {
			return "", fail
		}
	}
	v, err := c.inner.Call("run", string(c.host.Context()))
	return c.told(v, err)
}

func (c *ottoContext) load() *Failure {
	c.loading = true
	defer func() { c.loading = false }()
	f, err := c.vm.Run(c.program.script)
	if err != nil {
		return c.thrown(err)
	}
	v, err := c.inner.Call("load", f, func(otto.FunctionCall) otto.Value {
		panic(c.vm.MakeTypeError(requireMessage))
	})
	if err == nil && v.String() == "?" {
		return noHandler(c.program.file)
	}
	if err != nil || v.String() != "" {
		_, fail := c.told(v, err)
		return fail
	}
	c.loaded = true
	return nil
}

// told reads what the glue answered: "=" and the finished text, or "!" and a description.
func (c *ottoContext) told(v otto.Value, err error) (string, *Failure) {
	if err != nil {
		return "", c.thrown(err)
	}
	s := v.String()
	if len(s) > 0 && s[0] == '=' {
		return s[1:], nil
	}
	return "", described(s[min(1, len(s)):], []string{c.program.file}, func(stack string) string {
		return moveColumns(stack, c.program.file+":1:", -len(commonJSHead))
	})
}

// thrown is for what got past the glue, such as a stack that is too deep to describe.
func (c *ottoContext) thrown(err error) *Failure {
	return thrown(&cloud.Trace{Message: clip(err.Error(), 4096), File: c.program.file})
}

// Memory is a guess: otto doesn't count.
func (c *ottoContext) Memory() int64 { return 1 << 20 }

// Spent reports that the context is used up.
func (c *ottoContext) Spent() bool {
	return c.abandoned.Load() || c.spent || !c.loaded || c.runs >= contextUses
}

// Close does nothing: the garbage collector has it.
func (c *ottoContext) Close() {}
