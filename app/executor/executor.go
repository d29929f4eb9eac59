// Package executor runs scripts: the gate, the compile cache, the engines and the
// execution log.
package executor

import (
	"context"

	"picloud/app/cloud"
	"picloud/app/outbox"
	"picloud/db"
)

// Scripts finds a script's current version; the error is NotFound when it is gone.
// *control.Control is the real one, and answers from memory.
type Scripts interface {
	Script(ctx context.Context, id cloud.ScriptID) (*cloud.Script, error)
}

// Executor runs invocations. It is the outbox.Runner.
type Executor struct{}

func (e *Executor) Run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error) (*cloud.Result, outbox.Effects) {
	panic("not written yet")
}
func (e *Executor) Record(inv *cloud.Invocation, res *cloud.Result) { panic("not written yet") }

// Check compiles s as a save would and checks its limits against the instance's ceiling; the
// error is Invalid and names line and column. control calls it before it stores.
func (e *Executor) Check(ctx context.Context, s *cloud.Script) error { panic("not written yet") }

// Gate is the outbox.Gate: bounds how many executions run at once.
type Gate struct{}

// Log is the execution log: batched writes to logs.db, capped, readable at once.
type Log struct{}

// Query selects executions.
type Query struct {
	ScriptID cloud.ScriptID
	Status   cloud.Status
	Source   string
	Since    cloud.Time
}

// Executions lists an app's executions, newest first.
func (l *Log) Executions(ctx context.Context, app cloud.AppID, q Query, p cloud.Page) ([]*cloud.Execution, string, error) {
	panic("not written yet")
}

// Execution is one by its id; NotFound when it was never there or its log is gone.
func (l *Log) Execution(ctx context.Context, id cloud.ExecutionID) (*cloud.Execution, error) {
	panic("not written yet")
}

// Attempts are the executions that ran for one outbox row, in order.
func (l *Log) Attempts(ctx context.Context, event cloud.RowID) ([]*cloud.Execution, error) {
	panic("not written yet")
}

// Chain is every execution of a root, oldest first, at most 1000.
func (l *Log) Chain(ctx context.Context, root cloud.ExecutionID) ([]*cloud.Execution, error) {
	panic("not written yet")
}

// Subscribe streams an app's finished executions until cancel; a slow reader misses some.
func (l *Log) Subscribe(app cloud.AppID) (<-chan *cloud.Execution, func()) {
	panic("not written yet")
}

// Serve writes what was recorded, in batches, and keeps the caps.
func (l *Log) Serve(ctx context.Context) error { panic("not written yet") }
