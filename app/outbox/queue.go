package outbox

import (
	"bytes"
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// Bounds of a message.
const (
	MaxMessage = 256 << 10 // bytes of its JSON
	MaxKey     = 256       // bytes of a key and of a deduplication id
)

// QueueInput is a message on its way into a queue.
type QueueInput struct {
	ID              cloud.RowID // zero: a fresh one
	Queue           string
	Body            json.RawMessage
	Key             string        // messages with one key run in the order in which they came, one at a time
	DeduplicationID string        // a second message with it within the window is not stored
	Delay           time.Duration // until it may be taken; at most MaxDelay
}

// Check tells what is wrong with a message; the error is Invalid.
func (m *QueueInput) Check() error {
	if err := checkQueueName(m.Queue); err != nil {
		return err
	}
	switch {
	case len(m.Body) == 0:
		return cloud.Errorf(cloud.Invalid, "the message is missing")
	case len(m.Body) > MaxMessage:
		return cloud.Errorf(cloud.Invalid, "the message has %d bytes of JSON: at most %d are allowed; keep what is larger in kv and send its key", len(m.Body), MaxMessage)
	case !utf8.Valid(m.Body) || !json.Valid(m.Body):
		return cloud.Errorf(cloud.Invalid, "the message is not JSON")
	case len(m.Key) > MaxKey || !utf8.ValidString(m.Key):
		return cloud.Errorf(cloud.Invalid, "the key has %d bytes: at most %d of UTF-8 are allowed", len(m.Key), MaxKey)
	case len(m.DeduplicationID) > MaxKey || !utf8.ValidString(m.DeduplicationID):
		return cloud.Errorf(cloud.Invalid, "the deduplication id has %d bytes: at most %d of UTF-8 are allowed", len(m.DeduplicationID), MaxKey)
	case m.Delay < 0 || m.Delay > MaxDelay:
		return cloud.Errorf(cloud.Invalid, "the delay is a number of seconds from 0 to %.0f", MaxDelay.Seconds())
	}
	return nil
}

// queueEvent is ctx.event of a queue's consumer, and a message's payload.
type queueEvent struct {
	Source string      `json:"source"`
	Op     string      `json:"op"`
	Queue  queueDetail `json:"queue"`
}

type queueDetail struct {
	Name     string    `json:"name"`
	Messages []message `json:"messages"`
}

type message struct {
	ID         cloud.RowID     `json:"id"`
	Body       json.RawMessage `json:"body"`
	Attempt    int             `json:"attempt"`
	EnqueuedAt cloud.Time      `json:"enqueued_at"`
	Key        string          `json:"key,omitzero"`
}

const opReceive = "receive"

// SendTx puts a message that Check found good into its queue, in the transaction of whoever
// sends it, and answers its id. When the window knows its deduplication id, nothing is
// stored, and the id is that of the message that was.
func (o *Outbox) SendTx(tx *db.Tx, from cloud.Origin, m QueueInput) (id cloud.RowID, duplicate bool, err error) {
	return o.sendTx(tx, from, m, cloud.BudgetExceeded)
}

func (o *Outbox) sendTx(tx *db.Tx, from cloud.Origin, m QueueInput, quota cloud.Kind) (id cloud.RowID, duplicate bool, err error) {
	if m.ID.IsZero() {
		m.ID = cloud.NewID[cloud.RowID]()
	}
	if m.DeduplicationID != "" {
		if id, err = o.remember(tx, from.App, m); err != nil || id != m.ID {
			return id, err == nil, err
		}
	}
	payload, err := json.Marshal(queueEvent{cloud.SourceQueue, opReceive, queueDetail{m.Queue, []message{
		{ID: m.ID, Body: m.Body, EnqueuedAt: cloud.TimeOf(tx.Now), Key: m.Key},
	}}})
	if err != nil {
		return m.ID, false, err
	}
	tx.AfterCommit(o.metrics.enqueued.WithLabelValues(from.App.String()).Inc)
	id, err = o.enqueue(tx, from, Message{
		ID: m.ID, Source: cloud.SourceQueue, Op: opReceive, Lane: QueueLane(m.Queue), Key: m.Key, Delay: m.Delay, Payload: payload,
	}, quota)
	return id, false, err
}

// remember keeps a deduplication id for the length of the window. It answers the id of the
// message that had it first.
func (o *Outbox) remember(tx *db.Tx, app cloud.AppID, m QueueInput) (id cloud.RowID, err error) {
	id, known, err := duplicate(tx.Rx, app, m.Queue, m.DeduplicationID)
	if err != nil {
		return id, err
	}
	if known {
		tx.AfterCommit(o.metrics.deduplicated.WithLabelValues(app.String()).Inc)
		return id, nil
	}
	_, err = tx.Exec(`
		INSERT INTO queue_deduplication (app_id, queue, deduplication_id, message_id, expires_at) VALUES (?, ?, ?, ?, ?)
		ON CONFLICT (app_id, queue, deduplication_id) DO UPDATE SET message_id = excluded.message_id, expires_at = excluded.expires_at`,
		app, m.Queue, m.DeduplicationID, m.ID, int64(cloud.TimeOf(tx.Now).Add(o.o.Deduplication)))
	if err != nil {
		return id, fmt.Errorf("keep a deduplication id: %w", err)
	}
	return m.ID, nil
}

// Duplicate finds the message that was sent with a deduplication id within the window.
func (o *Outbox) Duplicate(ctx context.Context, app cloud.AppID, queue, deduplicationID string) (id cloud.RowID, ok bool, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		id, ok, err = duplicate(rx, app, queue, deduplicationID)
		return err
	})
	return id, ok, err
}

// longestDeduplication is more than any id is known for: one that is kept for longer was noted
// while the clock was ahead.
const longestDeduplication = 8 * 24 * time.Hour

func duplicate(rx *db.Rx, app cloud.AppID, queue, deduplicationID string) (id cloud.RowID, ok bool, err error) {
	err = rx.QueryRow(`SELECT message_id FROM queue_deduplication WHERE app_id = ? AND queue = ? AND deduplication_id = ? AND expires_at > ? AND expires_at <= ?`,
		app, queue, deduplicationID, rx.Now.UnixMilli(), rx.Now.Add(longestDeduplication).UnixMilli()).Scan(&id)
	if err == sql.ErrNoRows {
		return id, false, nil
	}
	if err != nil {
		return id, false, fmt.Errorf("look for a deduplication id: %w", err)
	}
	return id, true, nil
}

// Send puts a message into its queue and answers when that is durable, as SendTx does.
// Over the app's quota it is RateLimited, and Overloaded when Options.Accept says so.
func (o *Outbox) Send(ctx context.Context, from cloud.Origin, m QueueInput) (id cloud.RowID, duplicate bool, err error) {
	if err := m.Check(); err != nil {
		return id, false, err
	}
	if err := o.o.Accept(); err != nil {
		return id, false, err
	}
	err = o.db.UpdateFor(ctx, db.Cause{App: from.App}, func(_ context.Context, tx *db.Tx) (err error) {
		id, duplicate, err = o.sendTx(tx, from, m, cloud.RateLimited)
		return err
	})
	return id, duplicate, err
}

// messages reads what a queue's row carries.
func (r *row) messages() (queueEvent, error) {
	var ev queueEvent
	if err := json.Unmarshal(r.payload, &ev); err != nil || len(ev.Queue.Messages) != 1 {
		return ev, errPayload.WithCause(err)
	}
	m := &ev.Queue.Messages[0]
	m.ID, m.Attempt = cmp.Or(r.id, m.ID), r.tried // an app that was imported may have given the row another id
	return ev, nil
}

// receive makes inv the execution of a batch. It is as deep as the deepest of its messages.
// A batch of several has no idempotency key that its next attempt would have again, so its
// key is of this attempt alone: each message's id is what stays the same.
func (r *row) receive(inv *cloud.Invocation) error {
	inv.Trigger = r.trigger
	ev, err := r.messages()
	if err != nil {
		return err
	}
	for _, other := range r.batch {
		more, err := other.messages()
		if err != nil {
			return err
		}
		ev.Queue.Messages = append(ev.Queue.Messages, more.Queue.Messages...)
		inv.Batch = append(inv.Batch, other.id)
		inv.Depth = max(inv.Depth, other.depth)
		inv.Attempt = max(inv.Attempt, other.tried)
		inv.Key = inv.ID.String()
	}
	inv.Event, err = json.Marshal(ev)
	return err
}

// alone is a message's event as its dead letter keeps it: as if it had run alone.
func (r *row) alone() []byte {
	ev, err := r.messages()
	if err != nil {
		return r.payload
	}
	if b, err := json.Marshal(ev); err == nil {
		return b
	}
	return r.payload
}

// readRefused reads which messages of a batch its handler gave back, by answering
// {failed: [ids]}. Ids that are not of the batch make the attempt fail: nothing is
// acknowledged by mistake.
func (a *attempt) readRefused(res *cloud.Result) error {
	a.refused = nil
	if a.row == nil || !consumed(a.row.lane) || res.Discard || !bytes.Contains(res.Body, []byte(`"failed"`)) {
		return nil
	}
	var answer map[string]json.RawMessage
	if json.Unmarshal(res.Body, &answer) != nil || answer["failed"] == nil {
		return nil
	}
	var failed []cloud.RowID
	if err := json.Unmarshal(answer["failed"], &failed); err != nil {
		return cloud.Errorf(cloud.Invalid, "failed must be a list of ids of messages that were received: all of them are tried again")
	}
	known := map[cloud.RowID]bool{}
	for _, r := range a.row.all() {
		known[r.id] = true
	}
	for _, id := range failed {
		if !known[id] {
			return cloud.Errorf(cloud.Invalid, "failed names %s, which was not among the messages: all of them are tried again", id)
		}
		if a.refused == nil {
			a.refused = map[cloud.RowID]bool{}
		}
		a.refused[id] = true
	}
	return nil
}
