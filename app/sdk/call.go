package sdk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/app/data"
	"picloud/app/outbox"
	"picloud/db"
)

// Call is one execution's side of the host calls. It is used by one goroutine at a time.
type Call struct {
	Ctx      context.Context // ends at the execution's deadline
	Inv      *cloud.Invocation
	Script   *cloud.Script
	Deadline time.Time
	Unit     *data.Unit
	Invoker  Invoker // nil: no script can be invoked

	services Services
	invoked  bool // by another script, in its execution
	*shared
}

// shared is what all scripts of one execution have together.
type shared struct {
	logs     logBuffer
	secrets  map[string]string           // that were read, by name
	requests int                         // sent to other machines
	settled  map[cloud.DeadLetterID]bool // dead letters this execution replayed or resolved
	sent     map[sentMessage]cloud.RowID // messages this execution sent with a deduplication id
}

// NewCall begins a fresh unit of work for one run of inv. Zero limits are the defaults; hold
// is outbox.Runner's.
func NewCall(ctx context.Context, s Services, inv *cloud.Invocation, script *cloud.Script, deadline time.Time, limits cloud.Limits, hold func(context.Context, *db.Tx) error) *Call {
	c := &Call{Ctx: ctx, Inv: inv, Script: script, Deadline: deadline, services: s, shared: &shared{logs: newLogBuffer(limits)}}
	if s.Data != nil {
		c.Unit = s.Data.Begin(inv, limits, hold)
	}
	return c
}

// Host is the host call as the prelude expects it. out goes to the script as it is: "" for
// undefined, JSON for a value, "!" and JSON for an exception. When fatal is not nil, the
// engine must stop the script in a way it can't catch, and fatal is why.
func (c *Call) Host(op, args string) (out string, fatal error) {
	b, err := c.Do(op, []byte(args))
	if err == nil {
		return string(b), nil
	}
	if why, ok := FatalError(err); ok {
		return "", why
	}
	return thrown(err), nil
}

// thrown is err as the prelude's fault reads it.
func thrown(err error) string {
	b := append(make([]byte, 0, 128), `!["`...)
	b = append(b, cloud.KindOf(err)...)
	b = append(b, `",`...)
	b = appendString(b, cloud.Message(err))
	return string(append(b, ']'))
}

// funcs are all host functions by op.
var funcs map[string]Func

func init() {
	funcs = map[string]Func{"ctx.commit": commit}
	for _, m := range Modules {
		for op, f := range m.Funcs {
			funcs[op] = f
		}
	}
	Prelude, Modern, Types = assemblePrelude(), assembleModern(), assembleTypes()
}

// Do runs the host function op. Once Ctx is over nothing runs any more. An error for which
// FatalError says so ends the execution; any other is an exception for the script.
func (c *Call) Do(op string, args []byte) (out []byte, err error) {
	f, ok := funcs[op]
	if !ok {
		return nil, Fatal(fmt.Errorf("host call %q: no such function", op))
	}
	if err := c.over(op); err != nil {
		return nil, err
	}
	out, err = f(c, args)
	if err == nil {
		return out, nil
	}
	return nil, c.judge(op, err)
}

// judge makes those errors fatal that a script must not live on with.
func (c *Call) judge(op string, err error) error {
	if _, already := FatalError(err); already {
		return err
	}
	if over := c.over(op); over != nil {
		return over
	}
	if _, contended := errors.AsType[outbox.Contended](err); contended {
		return Fatal(err)
	}
	if cloud.KindOf(err) == cloud.Internal || cloud.Passing(err) { // a default in place of a value that could not be read would be written
		return Fatal(fmt.Errorf("host call %s: %w", op, err))
	}
	return err
}

// over is the fatal error of an execution whose time is up or that was called off.
func (c *Call) over(op string) error {
	if c.Ctx.Err() == nil {
		return nil
	}
	return Fatal(fmt.Errorf("host call %s: %w", op, context.Cause(c.Ctx)))
}

// commit is ctx.commit(). Without its commit the execution has nothing true to go on with.
func commit(c *Call, _ []byte) ([]byte, error) {
	if err := c.Unit.Commit(c.Ctx); err != nil {
		return nil, Fatal(err)
	}
	return nil, nil
}

// allow checks that the principal may do what in this app. The public runs without one: for
// it the script is the gate.
func (c *Call) allow(what cloud.Capability) error {
	p := c.Inv.Principal
	if p == nil || p.Can(what, c.Inv.App) {
		return nil
	}
	return cloud.Errorf(cloud.Forbidden, "%s has no right to %s in this app: ask its admin for a role or a key that has it", p.Username, what)
}

// Logs are the lines logged so far, within the limits.
func (c *Call) Logs() []cloud.LogLine { return c.logs.all() }

type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// Fatal marks err as one that ends the execution.
func Fatal(err error) error { return fatalError{err} }

// FatalError finds what Fatal marked in err's chain.
func FatalError(err error) (error, bool) {
	e, ok := errors.AsType[fatalError](err)
	return e.error, ok
}
