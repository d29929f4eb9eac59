package outbox

import (
	"cmp"
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// Message is work for the outbox that no trigger asked for.
type Message struct {
	ID     cloud.RowID // names the event, and is its idempotency key; zero: a fresh one
	Source string      // of the event
	Op     string
	Script cloud.ScriptID // that runs, or that it is logged for when a Sender runs it; zero in a queue

	Lane  string        // "", QueueLane or HTTPLane
	Key   string        // rows of one lane and key run in order, one at a time; "": in no order
	Delay time.Duration // before the first attempt; it keeps back the later rows with its key
	Retry Retry         // zero: Options.Retry, or SendRetry in the lane of a host

	Payload json.RawMessage // the whole ctx.event
}

// MaxDelay is the longest Delay that people may ask for.
const MaxDelay = 365 * 24 * time.Hour

// Enqueue puts m into the outbox, in the transaction of whoever caused it, and answers its
// id. It runs one deeper than from; what would be deeper than the limit is BudgetExceeded,
// and so is a row more than the app's quota.
//
// A row with a Script and neither a trigger nor a Sender runs as from.Principal, with the
// rights that the user has then, or as nobody when it is zero. Leave it zero for somebody
// who came with an API key: the key may allow less than its user.
func (o *Outbox) Enqueue(tx *db.Tx, from cloud.Origin, m Message) (cloud.RowID, error) {
	return o.enqueue(tx, from, m, cloud.BudgetExceeded)
}

// enqueue is Enqueue with another kind of error for a row over the quota.
func (o *Outbox) enqueue(tx *db.Tx, from cloud.Origin, m Message, quota cloud.Kind) (cloud.RowID, error) {
	r := &row{
		id: m.ID, app: from.App, lane: m.Lane, key: m.Key, source: m.Source, op: m.Op, script: m.Script,
		principal: from.Principal, depth: depthFrom(from), root: from.Root, parent: from.Execution,
		retry: cmp.Or(m.Retry, o.retryIn(m.Lane)), payload: m.Payload,
	}
	if r.id.IsZero() {
		r.id = cloud.NewID[cloud.RowID]()
	}
	if r.root.IsZero() {
		r.root = cloud.ExecutionID(r.id)
	}
	if err := o.CheckDepth(from); err != nil {
		return r.id, err
	}
	if err := o.quotas.checkRows(tx, r.app, quota); err != nil {
		return r.id, err
	}
	return r.id, o.insertAfter(tx, r, m.Delay)
}

// retryIn is the policy of a lane's rows that have none of their own.
func (o *Outbox) retryIn(lane string) Retry {
	if sends(lane) {
		return o.o.SendRetry
	}
	return o.o.Retry
}

// CheckDepth tells whether what from causes would be deeper than the limit: BudgetExceeded.
func (o *Outbox) CheckDepth(from cloud.Origin) error {
	if depthFrom(from) > o.o.MaxDepth {
		return cloud.Errorf(cloud.BudgetExceeded, "executions that cause each other may be %d deep, and this one is: break the chain, or raise PICLOUD_MAX_TRIGGER_DEPTH", o.o.MaxDepth)
	}
	return nil
}

// depthFrom is how deep what from causes runs.
func depthFrom(from cloud.Origin) int {
	if from.Execution.IsZero() && from.Root.IsZero() {
		return 0 // nothing ran before: the event starts a chain
	}
	return from.Depth + 1
}
