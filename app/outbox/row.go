package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

type (
	inboxID    = cloud.ID[struct{ inbox int }]
	claimToken = cloud.ID[struct{ claim int }]
)

// row is one entry of the outbox, as the dispatcher sees it.
type row struct {
	n         int64
	id        cloud.RowID
	app       cloud.AppID
	lane      string
	key       string // in its lane, rows with one key run in order; "": it has none
	blocked   bool   // by an earlier row with its key
	source    string
	op        string
	trigger   cloud.TriggerID // a route's id when source is http
	script    cloud.ScriptID
	replyTo   inboxID
	letter    cloud.DeadLetterID // that this row's handler looks at
	principal cloud.UserID       // who caused the event; a row without a trigger runs as them
	depth     int
	root      cloud.ExecutionID
	parent    cloud.ExecutionID
	retry     Retry
	tried     int             // attempts begun
	history   []cloud.Attempt // attempts that failed
	due       cloud.Time
	created   cloud.Time
	payload   []byte

	// Of a claimed row.
	token      claimToken
	claimed    cloud.Time
	lease      cloud.Time
	until      time.Time    // the end of the lease, which no setting of the clock moves
	registrant cloud.UserID // of the trigger, at the claim; zero: the trigger is gone
	lead       int64        // n of the row whose batch this one is in, itself if it is the first; 0: it runs alone
	batch      []*row       // the others that run with this one
}

// handler reports that the row is for a dead letter's handler: one attempt, and no letter.
func (r *row) handler() bool { return !r.letter.IsZero() }

// cause is who the changes to the row are counted for.
func (r *row) cause() db.Cause {
	c := db.Cause{App: r.app, Script: r.script}
	if r.source != cloud.SourceHTTP {
		c.Trigger = r.trigger
	}
	return c
}

// all lists the row and those that run with it.
func (r *row) all() []*row { return append([]*row{r}, r.batch...) }

// exec is the execution id of a claimed row's attempt. A claim gives all its rows one token,
// so the id is the token with n added to its random end: it needs no column of its own. Rows
// of a batch have that of the first.
func (r *row) exec() cloud.ExecutionID {
	n := cmp.Or(r.lead, r.n)
	id := cloud.ExecutionID(r.token)
	const low = 1<<56 - 1 // leaves the bits that make it a UUIDv7
	end := binary.BigEndian.Uint64(id[8:])
	binary.BigEndian.PutUint64(id[8:], end&^uint64(low)|(end+uint64(n))&low)
	return id
}

// httpEvent is the payload of a request that runs later.
type httpEvent struct {
	Source string         `json:"source"`
	Op     string         `json:"op"`
	HTTP   *cloud.Request `json:"http"`
}

// rowOf makes the row of a request.
func rowOf(inv *cloud.Invocation) (*row, error) {
	payload, err := json.Marshal(httpEvent{Source: cloud.SourceHTTP, Op: inv.Op, HTTP: inv.Request})
	if err != nil {
		return nil, fmt.Errorf("encode request: %w", err)
	}
	r := &row{
		app: inv.App, source: cloud.SourceHTTP, op: inv.Op, trigger: cloud.TriggerID(inv.Route), script: inv.Script,
		depth: inv.Depth, root: inv.Root, parent: inv.Parent, payload: payload,
	}
	if r.root.IsZero() {
		r.root = inv.ID
	}
	if inv.Principal != nil {
		r.principal = inv.Principal.User
	}
	return r, nil
}

// invocation is the attempt that the row's claim began. The error says that the payload
// can't be read.
func (r *row) invocation() (*cloud.Invocation, error) {
	inv := &cloud.Invocation{
		ID: r.exec(), Root: r.root, Parent: r.parent, Depth: r.depth, Attempt: r.tried,
		App: r.app, Script: r.script, Source: r.source, Op: r.op,
		Row: r.id, Key: r.id.String(), Handler: r.handler(), Async: true,
	}
	if consumed(r.lane) {
		return inv, r.receive(inv)
	}
	if r.source != cloud.SourceHTTP {
		inv.Trigger = r.trigger
		inv.Event = r.payload
		if !json.Valid(r.payload) {
			return inv, errPayload
		}
		if r.source == cloud.SourceInvoke {
			inv.Args = argsOf(r.payload)
		}
		return inv, nil
	}
	inv.Route = cloud.RouteID(r.trigger)
	var ev httpEvent
	if err := json.Unmarshal(r.payload, &ev); err != nil || ev.HTTP == nil {
		return inv, errPayload.WithCause(err)
	}
	inv.Request = ev.HTTP
	return inv, nil
}

// argsOf are the arguments in an invoke event; null when there are none.
func argsOf(payload []byte) json.RawMessage {
	var ev struct {
		Invoke struct{ Args json.RawMessage }
	}
	if json.Unmarshal(payload, &ev) != nil || ev.Invoke.Args == nil {
		return json.RawMessage("null")
	}
	return ev.Invoke.Args
}

var errPayload = cloud.Errorf(cloud.Invalid, "the event's payload can't be decoded")

const insertRow = `
INSERT INTO outbox (id, app_id, lane, ordering_key, blocked, source, op, trigger_id, script_id, dead_letter_id, origin_principal, trigger_depth,
	root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, next_attempt_at, created_at, payload)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`

// insertRowOfTrigger inserts nothing when the trigger has gone, which a cascade may have done
// without the cache's knowledge.
const insertRowOfTrigger = `
INSERT INTO outbox (id, app_id, lane, ordering_key, blocked, source, op, trigger_id, script_id, dead_letter_id, origin_principal, trigger_depth,
	root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, next_attempt_at, created_at, payload)
SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?
WHERE EXISTS (SELECT 1 FROM triggers WHERE id = ? AND enabled = 1)`

func (r *row) values(now cloud.Time) []any {
	return append(make([]any, 0, 21), r.id, r.app, r.lane, sql.NullString{String: r.key, Valid: r.key != ""}, r.blocked, r.source, r.op, r.trigger, r.script, r.letter, r.principal, r.depth,
		r.root, r.parent, r.retry.MaxAttempts, r.retry.Backoff, r.retry.BaseMS, int64(r.due), int64(now), string(r.payload))
}

// insert puts the row into the outbox, due at once, and wakes the dispatcher on commit.
func (o *Outbox) insert(tx *db.Tx, r *row) error { return o.insertAfter(tx, r, 0) }

// insertAfter is insert for a row that is due after a delay.
func (o *Outbox) insertAfter(tx *db.Tx, r *row, delay time.Duration) (err error) {
	now := cloud.TimeOf(tx.Now)
	r.due = now.Add(delay)
	if r.key != "" {
		err = tx.QueryRow(anyOfKey, r.app, r.lane, r.key).Scan(&r.blocked)
	}
	if err == nil {
		_, err = tx.Exec(insertRow, r.values(now)...)
	}
	if err != nil {
		return fmt.Errorf("insert outbox row: %w", err)
	}
	if !r.blocked {
		o.wakeOnCommit(tx, r.laneID(), r.due)
	}
	return nil
}

func (r *row) laneID() laneID { return laneID{r.app, r.lane} }

const anyOfKey = `SELECT EXISTS (SELECT 1 FROM outbox WHERE app_id = ? AND lane = ? AND ordering_key = ?)`

const unblockNext = `
UPDATE outbox SET blocked = 0
WHERE n = (SELECT n FROM outbox WHERE app_id = ? AND lane = ? AND ordering_key = ? ORDER BY n LIMIT 1) AND blocked = 1
RETURNING next_attempt_at`

// unblock lets the next row with a key run, after one of them went.
func (o *Outbox) unblock(tx *db.Tx, id laneID, key string) error {
	if key == "" {
		return nil
	}
	var due int64
	err := tx.QueryRow(unblockNext, id.app, id.name, key).Scan(&due)
	if err == sql.ErrNoRows {
		return nil
	}
	if err != nil {
		return fmt.Errorf("unblock the next row with a key: %w", err)
	}
	o.wakeOnCommit(tx, id, cloud.Time(due))
	return nil
}

// insertFor is insert for a trigger's row. It reports false when the trigger is gone.
func (o *Outbox) insertFor(tx *db.Tx, r *row) (bool, error) {
	r.due = cloud.TimeOf(tx.Now)
	res, err := tx.Exec(insertRowOfTrigger, append(r.values(r.due), r.trigger)...)
	if err != nil {
		return false, fmt.Errorf("insert outbox row: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return false, err
	}
	o.wakeOnCommit(tx, r.laneID(), r.due)
	return true, nil
}

func (o *Outbox) wakeOnCommit(tx *db.Tx, id laneID, due cloud.Time) {
	tx.AfterCommit(func() { o.lanes.add(id, due) })
}

// insertClaimed puts the row of a waiting caller into the outbox.
func (r *row) insertClaimed(tx *db.Tx, by string, lease time.Duration) error {
	now := cloud.TimeOf(tx.Now)
	r.claimed, r.lease, r.due, r.tried = now, now.Add(lease), now, 1
	res, err := tx.Exec(`
		INSERT INTO outbox (id, app_id, source, op, trigger_id, script_id, reply_to, origin_principal, trigger_depth,
			root_execution_id, parent_execution_id, retry_max_attempts, retry_backoff, retry_base_ms, attempt_count,
			next_attempt_at, claimed_at, claimed_by, claim_token, lease_until, created_at, payload)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?, ?, ?, ?)`,
		r.id, r.app, r.source, r.op, r.trigger, r.script, r.replyTo, r.principal, r.depth,
		r.root, r.parent, r.retry.MaxAttempts, r.retry.Backoff, r.retry.BaseMS,
		int64(now), int64(now), by, r.token, int64(r.lease), int64(now), string(r.payload))
	if err != nil {
		return fmt.Errorf("insert outbox row: %w", err)
	}
	r.n, err = res.LastInsertId()
	return err
}

// errLost is the end of a worker whose lease ran out: another attempt has the row.
var errLost = cloud.Errorf(cloud.Conflict, "the attempt outlived its lease and the event was given to another one: nothing of it was committed")

// hold succeeds while the claim still stands, of all rows that run together.
func (r *row) hold(_ context.Context, tx *db.Tx) error {
	for _, r := range r.all() {
		var one int
		err := tx.QueryRow(`SELECT 1 FROM outbox WHERE n = ? AND claim_token = ?`, r.n, r.token).Scan(&one)
		if err == sql.ErrNoRows {
			return errLost
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// remove deletes a claimed row, if the claim still stands, and lets the next one with its
// key run.
func (o *Outbox) remove(tx *db.Tx, r *row) error {
	res, err := tx.Exec(`DELETE FROM outbox WHERE n = ? AND claim_token = ?`, r.n, r.token)
	if err != nil {
		return fmt.Errorf("delete outbox row: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return orLost(err)
	}
	return o.unblock(tx, r.laneID(), r.key)
}

func orLost(err error) error {
	if err != nil {
		return err
	}
	return errLost
}
