// Package outbox is all durable work that waits to run: triggers, rows, the dispatcher,
// leases, retries, dead letters, abandoned executions and the inbox of waiting callers.
package outbox

import (
	"context"

	"picloud/app/cloud"
	"picloud/db"
)

// Runner runs scripts. *executor.Executor is the real one.
type Runner interface {
	// Run executes inv once. It never returns a nil result; the effects are nil when the
	// execution got nowhere. hold, when not nil, must succeed inside every transaction that
	// the execution makes before its end (ctx.commit), so that a lost claim commits nothing.
	Run(ctx context.Context, inv *cloud.Invocation, hold func(context.Context, *db.Tx) error) (*cloud.Result, Effects)
	// Record keeps the final outcome in the execution log, once per execution (conflict
	// re-runs are one execution).
	Record(inv *cloud.Invocation, res *cloud.Result)
}

// Effects is what an execution wants to change. *data.Unit is the real one.
type Effects interface {
	// Empty reports that there is nothing to commit.
	Empty() bool
	// Apply checks that what was read still holds and makes the changes, events included.
	// When what was read does not hold any more the error is a Contended.
	Apply(ctx context.Context, tx *db.Tx) error
	// Close ends the snapshot. It may be called twice.
	Close()
}

// Contended is the error of an execution that must run again because another commit changed
// what it had read. It is found with errors.As, in what Apply returns and in Result.Err.
type Contended interface {
	error
	// Turn waits until it is this execution's turn on all keys that ever made it conflict.
	// The caller gives back its permit before and takes one after, runs the script again, and
	// calls release when that run has been committed or given up. A second conflict calls
	// Turn again, before release; the first release then does nothing.
	Turn(ctx context.Context) (release func(), err error)
}

// Gate bounds how many executions run at once. *executor.Gate is the real one.
type Gate interface {
	// Enter takes a permit for somebody who waits, in order, for a bounded time in a bounded
	// queue; else the error is Overloaded.
	Enter(ctx context.Context) error
	// Reenter takes a permit ahead of that queue, for a re-run; only ctx bounds the wait.
	Reenter(ctx context.Context) error
	// TryEnter takes up to n permits for async work and says how many. While callers wait,
	// async work holds at most three quarters of all.
	TryEnter(n int) int
	// Leave gives back one permit of Enter or Reenter (async false) or of TryEnter (true).
	Leave(async bool)
	// Freed has a value after a permit that async work may use became free.
	Freed() <-chan struct{}
}

// Principals says who a user is at this moment, with their rights; the error is NotFound or
// Forbidden when the user is gone or inactive. *control.Control is the real one.
type Principals interface {
	Principal(ctx context.Context, user cloud.UserID) (*cloud.Principal, error)
}

// Outbox is the table of waiting work and everything around it.
type Outbox struct{}

// Emit inserts a row for every enabled trigger of the app that ev matches, in the
// transaction that makes the change, and wakes the dispatcher when that commits.
func (o *Outbox) Emit(ctx context.Context, tx *db.Tx, from cloud.Origin, ev cloud.Event) error {
	panic("not written yet")
}

// Do runs inv for a caller who waits: one attempt, through the inbox, never retried. All
// failures are in the result.
func (o *Outbox) Do(ctx context.Context, inv *cloud.Invocation) *cloud.Result {
	panic("not written yet")
}

// Submit stores inv as a row and returns when that is durable. inv.ID names the event from
// then on: GET /executions/{id} tells its state.
func (o *Outbox) Submit(ctx context.Context, inv *cloud.Invocation) error {
	panic("not written yet")
}

// DeadLetterFilter selects letters; zero fields select all.
type DeadLetterFilter struct {
	Unresolved bool                 `json:"unresolved"`
	Source     string               `json:"source"`
	TriggerID  cloud.TriggerID      `json:"trigger_id"`
	ScriptID   cloud.ScriptID       `json:"script_id"`
	IDs        []cloud.DeadLetterID `json:"ids"`
}

// TriggerPatch changes a trigger; nil fields stay.
type TriggerPatch struct {
	Enabled          *bool            `json:"enabled"`
	ScriptID         *cloud.ScriptID  `json:"script_id"`
	DispatchMode     *string          `json:"dispatch_mode"`
	RetryMaxAttempts *int             `json:"retry_max_attempts"`
	RetryBackoff     *string          `json:"retry_backoff"`
	RetryBaseMS      *int             `json:"retry_base_ms"`
	CollectionGlob   *string          `json:"collection_glob"`   // kv
	Ops              *[]string        `json:"ops"`               // kv
	SourceFilter     *string          `json:"source_filter"`     // dead_letter
	TriggerIDFilter  *cloud.TriggerID `json:"trigger_id_filter"` // dead_letter
	ScriptIDFilter   *cloud.ScriptID  `json:"script_id_filter"`  // dead_letter
}

// Stats is what GET /system and the metrics show of the outbox.
type Stats struct {
	Waiting, Running, Retrying int
	OldestDueSeconds           float64
	Unresolved                 map[cloud.AppID]int // dead letters
}

func (o *Outbox) CreateTrigger(ctx context.Context, t *cloud.Trigger) error { panic("not written yet") } // fills id, times and retry defaults
func (o *Outbox) Triggers(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Trigger, string, error) {
	panic("not written yet")
}
func (o *Outbox) Trigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID) (*cloud.Trigger, error) {
	panic("not written yet")
}
func (o *Outbox) UpdateTrigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID, p TriggerPatch) (*cloud.Trigger, error) {
	panic("not written yet")
}
func (o *Outbox) DeleteTrigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID) error {
	panic("not written yet")
}

// Rows lists waiting, running and retrying rows, oldest first.
func (o *Outbox) Rows(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Row, string, error) {
	panic("not written yet")
}

// Cancel removes a row that is not running; a running one is a Conflict.
func (o *Outbox) Cancel(ctx context.Context, app cloud.AppID, id cloud.RowID) error {
	panic("not written yet")
}

// DeadLetters lists letters, newest first.
func (o *Outbox) DeadLetters(ctx context.Context, app cloud.AppID, f DeadLetterFilter, p cloud.Page) ([]*cloud.DeadLetter, string, error) {
	panic("not written yet")
}
func (o *Outbox) DeadLetter(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID) (*cloud.DeadLetter, error) {
	panic("not written yet")
}
func (o *Outbox) CountUnresolved(ctx context.Context, app cloud.AppID) (int, error) {
	panic("not written yet")
}

// Unresolved counts open letters per app; apps without any are absent.
func (o *Outbox) Unresolved(ctx context.Context) (map[cloud.AppID]int, error) {
	panic("not written yet")
}
func (o *Outbox) Replay(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID) error {
	panic("not written yet")
}
func (o *Outbox) Resolve(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID, reason string) error {
	panic("not written yet")
}
func (o *Outbox) ReplayMany(ctx context.Context, app cloud.AppID, f DeadLetterFilter) (int, error) {
	panic("not written yet")
}
func (o *Outbox) ResolveMany(ctx context.Context, app cloud.AppID, f DeadLetterFilter, reason string) (int, error) {
	panic("not written yet")
}

// ReplayTx and ResolveTx are Replay and Resolve inside an execution's own commit.
func (o *Outbox) ReplayTx(ctx context.Context, tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID) error {
	panic("not written yet")
}
func (o *Outbox) ResolveTx(ctx context.Context, tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID, resolution, reason string) error {
	panic("not written yet")
}
func (o *Outbox) Abandoned(ctx context.Context, app cloud.AppID, p cloud.Page) ([]*cloud.Abandoned, string, error) {
	panic("not written yet")
}

// Event tells the live state of an outbox row or of the dead letter it became, as an
// execution without logs: queued, running or dead. NotFound when it is neither any more.
func (o *Outbox) Event(ctx context.Context, id cloud.RowID) (*cloud.Execution, error) {
	panic("not written yet")
}

// EventsOf lists the live rows and dead letters of a chain, for GET /executions/{id}/chain.
func (o *Outbox) EventsOf(ctx context.Context, root cloud.ExecutionID) ([]*cloud.Execution, error) {
	panic("not written yet")
}
func (o *Outbox) Stats(ctx context.Context) (Stats, error) { panic("not written yet") }
