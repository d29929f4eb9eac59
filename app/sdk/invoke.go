package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

// Invoker runs another script of the app inside the execution of c, and finds scripts by
// name or id. *executor.Executor's executions are the real ones.
//
// Invoke answers what the engine wrote for the callee, or what the callee threw. An error is
// thrown in the caller; one wrapped by Fatal ends the whole execution.
type Invoker interface {
	Invoke(c *Call, script string, args json.RawMessage) (finished string, thrown *Thrown, err error)
	Find(ctx context.Context, app cloud.AppID, script string) (*cloud.Script, error)
}

// Thrown is an exception that goes from one script to the one that invoked it.
type Thrown struct {
	Name, Message, Stack string
	Code                 string // when the SDK threw it
}

// invokeModule calls other scripts of the app, now or later.
var invokeModule = Module{
	Name:  "invoke",
	Funcs: map[string]Func{"invoke.call": invokeCall, "invoke.later": invokeLater},
	JS: `
function list(script, args, more) {
  return "[" + json(script, "the script's name") + "," + (args === undefined ? "null" : json(args, "the arguments")) + more + "]";
}
// The host answers [0, value], [1, name, message, stack, code] or [2, status, body].
function invoke(script, args) {
  var out = call("invoke.call", list(script, args, "")), e;
  if (out[0] === 0) { return out.length > 1 ? out[1] : undefined; }
  if (out[0] === 2) { throw new HttpError(out[1], out.length > 2 ? out[2] : undefined); }
  e = out[4] === "" ? new Err(out[2]) : fault(out[4], out[2]);
  own(e, "name", out[1]);
  own(e, "stack", out[3] + e.stack);
  throw e;
}
var read = options, known = oneOf(["delaySeconds"]);
own(invoke, "later", freeze(function later(script, args, options) {
  return call("invoke.later", list(script, args, ",{\"delaySeconds\":" + arg(read(options, known, "invoke.later", "{ delaySeconds: 60 }").delaySeconds, 3) + "}"));
}), true, true);
own(global, "invoke", freeze(invoke), false, true);`,
	Types: `
/** A call that invoke.later asked for. */
interface InvokeEvent {
  source: "invoke";
  op: "call";
  /** script is what it was called by; args are also ctx.args. */
  invoke: { script: string; args: any };
}

/** Calls another script of the app, by its name or id. */
declare const invoke: {
  /**
   * Runs it now, in this execution: its writes are part of the one commit, its time is what is left of this one's. It finds the
   * arguments as ctx.args and has no ctx.request. Answers what it returned; what it throws is thrown here.
   */
  <T = any>(script: string, args?: unknown): T;
  /** Runs it in an execution of its own, which begins after this one has committed; attempts and dead letters are like those of any event. Answers the event's id. */
  later(script: string, args?: unknown, options?: { delaySeconds?: number }): string;
};`,
}

// Invoked begins the callee's side of the host calls: the same unit of work, log and time.
func (c *Call) Invoked(script *cloud.Script, args json.RawMessage) *Call {
	inv := *c.Inv
	inv.Script, inv.Depth, inv.Event, inv.Args = script.ID, c.Inv.Depth+1, nil, args
	if inv.Args == nil {
		inv.Args = json.RawMessage("null")
	}
	callee := *c
	callee.Inv, callee.Script, callee.invoked = &inv, script, true
	return &callee
}

func invokeCall(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	script, args := a.text("the script's name"), a.raw()
	if a.err != nil {
		return nil, a.err
	}
	if c.Invoker == nil {
		return nil, cloud.Errorf(cloud.Forbidden, "scripts can't be invoked here")
	}
	finished, thrown, err := c.Invoker.Invoke(c, script, args)
	if err != nil {
		return nil, err
	}
	if thrown != nil {
		return thrownOut(thrown), nil
	}
	return outcome([]byte(finished))
}

func thrownOut(t *Thrown) []byte {
	b := appendString([]byte("[1,"), t.Name)
	b = appendString(append(b, ','), t.Message)
	b = appendString(append(b, ','), t.Stack)
	b = appendString(append(b, ','), t.Code)
	return append(b, ']')
}

// outcome reads what the engine wrote for a callee: its value, or its HttpError.
func outcome(finished []byte) ([]byte, error) {
	if len(finished) > 0 && finished[0] == 'h' {
		first, body, _ := bytes.Cut(finished[1:], []byte("\n"))
		var h head
		if err := json.Unmarshal(first, &h); err != nil || len(h.StatusCode) == 0 {
			return nil, invalid("the script threw an HttpError without a status")
		}
		return appendValue(append([]byte("[2,"), h.StatusCode...), body)
	}
	return appendValue([]byte("[0"), finished)
}

// appendValue appends a value in the prelude's form, and the end of the list.
func appendValue(b, form []byte) ([]byte, error) {
	if len(form) == 0 {
		return nil, invalid("the script gave no answer")
	}
	switch text := form[1:]; form[0] {
	case 'u':
		return append(b, ']'), nil
	case 's':
		return append(appendString(append(b, ','), text), ']'), nil
	case 'j':
		return append(append(append(b, ','), text...), ']'), nil
	case 'x':
		return nil, invalid("%s", bytes.ToValidUTF8(text, []byte("\ufffd")))
	}
	return nil, invalid("what the script returned can't be passed on")
}

// InvokeEvent is ctx.event of an execution that invoke.later asked for.
type InvokeEvent struct {
	Source string         `json:"source"`
	Op     string         `json:"op"`
	Invoke InvokedDetails `json:"invoke"`
}

// InvokedDetails name the script as the caller did, and hold its arguments.
type InvokedDetails struct {
	Script string          `json:"script"`
	Args   json.RawMessage `json:"args"`
}

// opCall is the operation of invoke events.
const opCall = "call"

func invokeLater(c *Call, in []byte) ([]byte, error) {
	a := readArgs(in)
	name, args := a.text("the script's name"), a.raw()
	var o struct {
		DelaySeconds float64 `json:"delaySeconds"`
	}
	a.object("the options", &o)
	delay := time.Duration(o.DelaySeconds * float64(time.Second))
	if a.err == nil && (o.DelaySeconds < 0 || o.DelaySeconds > outbox.MaxDelay.Seconds()) {
		a.err = invalid("delaySeconds is a number from 0 to %d", int(outbox.MaxDelay.Seconds()))
	}
	if a.err != nil {
		return nil, a.err
	}
	if c.Invoker == nil || c.Unit == nil {
		return nil, cloud.Errorf(cloud.Forbidden, "scripts can't be invoked here")
	}
	script, err := c.Invoker.Find(c.Ctx, c.Inv.App, name)
	if err != nil {
		return nil, err
	}
	if args == nil {
		args = json.RawMessage("null")
	}
	payload, err := json.Marshal(InvokeEvent{cloud.SourceInvoke, opCall, InvokedDetails{name, args}})
	if err != nil {
		return nil, err
	}
	return c.enqueueCall(script, payload, delay)
}

// enqueueCall makes the row an effect of this execution. The event's id is known at once.
func (c *Call) enqueueCall(script *cloud.Script, payload json.RawMessage, delay time.Duration) ([]byte, error) {
	from, id := c.Unit.Origin(), cloud.NewID[cloud.RowID]()
	if c.Inv.Principal != nil && !c.Inv.Principal.Key.IsZero() {
		from.Principal = cloud.UserID{} // a key may allow less than its user: it runs as nobody
	}
	if err := c.services.Outbox.CheckDepth(from); err != nil {
		return nil, err
	}
	m := outbox.Message{ID: id, Source: cloud.SourceInvoke, Op: opCall, Script: script.ID, Delay: delay, Payload: payload}
	err := c.Unit.DeferBytes(len(payload), func(_ context.Context, tx *db.Tx) error {
		_, err := c.services.Outbox.Enqueue(tx, from, m)
		return err
	})
	if err != nil {
		return nil, err
	}
	return appendID(make([]byte, 0, 40), id), nil
}
