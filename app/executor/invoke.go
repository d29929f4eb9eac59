package executor

import (
	"context"
	"encoding/json"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// frame is one script of an execution: the one that it is of, or one that was invoked inside
// it. It is the sdk.Invoker of its script.
type frame struct {
	e       *Executor
	call    *sdk.Call
	context Context
	outer   *frame // of the script that invoked this one; nil for the first
	stint   *stint // of the execution; may be nil
	stuck   bool   // in the first frame: an engine still holds a call of this execution
}

// calleeFailure is why a script that was invoked ended the whole execution.
type calleeFailure struct {
	error
	trace *cloud.Trace
}

func (e *calleeFailure) Unwrap() error { return e.error }

// Find finds a script of the app by its name or id.
func (f *frame) Find(ctx context.Context, app cloud.AppID, script string) (*cloud.Script, error) {
	s, err := f.e.scripts.ScriptNamed(ctx, app, script)
	if cloud.KindOf(err) == cloud.NotFound {
		if id, bad := cloud.ParseID[cloud.ScriptID](script); bad == nil {
			s, err = f.e.scripts.Script(ctx, id)
		}
	}
	if cloud.KindOf(err) == cloud.NotFound || err == nil && s.AppID != app {
		return nil, cloud.Errorf(cloud.NotFound, "invoke: the app has no script %.100q", script)
	}
	if err == nil && s.Kind == cloud.KindModule {
		return nil, cloud.Errorf(cloud.Invalid, "invoke: %s is a module: import it", s.Name)
	}
	return s, err
}

// Invoke runs another script inside this execution: in a context of its own with its own
// budget of operations and memory, but on the same unit of work, log and deadline.
func (f *frame) Invoke(call *sdk.Call, script string, args json.RawMessage) (string, *sdk.Thrown, error) {
	s, err := f.Find(call.Ctx, call.Inv.App, script)
	if err != nil {
		return "", nil, err
	}
	limits := f.e.limits(s)
	if err := f.room(s); err != nil {
		return "", nil, err
	}
	c, err := f.e.context(call.Ctx, s, limits)
	if err != nil {
		return "", nil, err
	}
	callee := &frame{e: f.e, call: call.Invoked(s, args), context: c, outer: f, stint: f.stint}
	callee.call.Invoker = callee
	finished, fail := c.Run(callee.call, Budget{Ctx: call.Ctx, Deadline: call.Deadline, Limits: limits, Nested: callee.level(), Within: f.context, Stint: f.stint})
	f.e.pool.give(keyOf(s), c, s.Isolation == cloud.IsolationFresh)
	if fail == nil && int64(len(finished)) > limits.OutputBytes {
		return "", nil, cloud.Errorf(cloud.BudgetExceeded, "invoke: what %s returned has %d bytes, %d are allowed", s.Name, len(finished), limits.OutputBytes)
	}
	if fail == nil {
		return finished, nil, nil
	}
	return callee.failed(fail)
}

// failed hands what the callee threw to its caller. What ended the callee against its will,
// such as a limit or a lost commit, ends the caller too, and can't be caught.
func (f *frame) failed(fail *Failure) (string, *sdk.Thrown, error) {
	if fail.Stuck {
		f.e.stuck(f.call.Script, f.call.Inv)
		f.first().stuck = true
	}
	switch {
	case fail.Thrown != nil:
		return "", fail.Thrown, nil
	case cloud.KindOf(fail.Err) == cloud.ScriptError:
		return "", &sdk.Thrown{Name: "Error", Message: f.call.Script.Name + ": " + fail.Trace.Message}, nil
	}
	return "", nil, sdk.Fatal(&calleeFailure{fail.Err, fail.Trace})
}

func (f *frame) first() *frame {
	for f.outer != nil {
		f = f.outer
	}
	return f
}

// level is how many scripts of this execution wait for this one.
func (f *frame) level() (n int) {
	for ; f.outer != nil; f = f.outer {
		n++
	}
	return n
}

// room checks that one more script may be invoked: the chain is not too deep, and the
// contexts that wait in it hold no more than one alone might.
func (f *frame) room(s *cloud.Script) error {
	if depth := f.call.Inv.Depth + 1; depth > f.e.maxDepth {
		return cloud.Errorf(cloud.BudgetExceeded, "invoke: %s would run at depth %d, and %d is the limit: %s", s.Name, depth, f.e.maxDepth, f.chain(s))
	}
	held := int64(0)
	for g := f; g != nil; g = g.outer {
		held += g.context.Memory()
	}
	if held > f.e.ceiling.MemoryBytes {
		return cloud.Errorf(cloud.BudgetExceeded, "invoke: the scripts that wait for %s hold %d MiB, %d are allowed", s.Name, held>>20, f.e.ceiling.MemoryBytes>>20)
	}
	return nil
}

// chain names the scripts that invoked each other.
func (f *frame) chain(s *cloud.Script) string {
	text := s.Name
	for g := f; g != nil; g = g.outer {
		text = g.call.Script.Name + " → " + text
	}
	return text
}
