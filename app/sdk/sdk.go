// Package sdk is the JavaScript surface, free of any engine: Go functions over JSON behind
// one host call, and one ES5 prelude that builds kv.collection(…) and the like.
package sdk

import (
	"context"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbox"
	"picloud/db"
)

// Version of the SDK contract.
const Version = "1.2"

// Services are what modules work on.
type Services struct {
	Data   *data.Store
	Outbox *outbox.Outbox
}

// Module is a part of the surface: its host functions by their op name ("kv.get").
type Module struct {
	Name  string
	Funcs map[string]Func
}

// Func is one host function. args is a JSON array; the answer is JSON, nil for undefined. An
// error is thrown in the script with name = its cloud.Kind; one wrapped by Fatal ends the
// execution and can't be caught.
type Func func(c *Call, args []byte) ([]byte, error)

// Call is one execution's side of the host calls.
type Call struct {
	Ctx      context.Context // ends at the execution's deadline
	Inv      *cloud.Invocation
	Script   *cloud.Script
	Deadline time.Time
	Unit     *data.Unit
	// unexported: services, log buffer
}

// NewCall begins a fresh unit of work for one run of inv.
func NewCall(ctx context.Context, s Services, inv *cloud.Invocation, script *cloud.Script, deadline time.Time, limits cloud.Limits, hold func(context.Context, *db.Tx) error) *Call {
	panic("not written yet")
}

// Do is the host call. It honours Ctx. fatal means the engine must stop the script for good.
func (c *Call) Do(op string, args []byte) (out []byte, err error) { panic("not written yet") }

// Context is ctx as JSON, which the prelude's begin turns into the script's ctx.
func (c *Call) Context() []byte { panic("not written yet") }

// Logs are the lines logged so far, within the limits.
func (c *Call) Logs() []cloud.LogLine { panic("not written yet") }

// Fatal marks err as one that ends the execution; FatalError finds it again.
func Fatal(err error) error              { panic("not written yet") }
func FatalError(err error) (error, bool) { panic("not written yet") }

// Answer reads what the prelude's finish wrote and makes the result of a handler that
// returned (or threw HttpError); the error is Invalid for a bad status, header or value.
func Answer(finished []byte, maxOutput int64) (*cloud.Result, error) { panic("not written yet") }

// Prelude is an ES5 program whose value is a function (host) that builds the surface on the
// global object, once per context, and returns an object for the engine, which scripts never
// see. host(op, args) takes strings and gives a string: "" for undefined, else JSON
// {"v":value} or {"e":{"name","message"}}.
//
//	begin(json)  -> ctx           per execution
//	finish(v)    -> string        for sdk.Answer: the handler's (settled) value
//	fail(e)      -> string|""     for sdk.Answer when e is an HttpError, else ""
//	describe(e)  -> string        JSON {name, message, stack} of anything thrown
var Prelude string

// Modules lists everything a script can reach, one line a module.
var Modules []Module
