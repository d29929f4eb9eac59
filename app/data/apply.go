package data

import (
	"context"
	"encoding/json"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// Operations of kv events.
const (
	opInsert = "insert"
	opUpdate = "update"
	opDelete = "delete"
)

// Apply checks that what was read still holds and makes the changes, events included. When
// what was read does not hold any more the error is an outbox.Contended, or a plain Conflict
// if the execution can't be run again. It changes nothing in u: it may run more than once.
func (u *Unit) Apply(ctx context.Context, tx *db.Tx) error {
	if u.broken != nil {
		return u.broken
	}
	if u.Empty() {
		return nil
	}
	if err := u.check(tx); err != nil {
		return err
	}
	w := writing{s: u.s, tx: tx, from: u.from, now: cloud.TimeOf(tx.Now)}
	for _, e := range u.effects {
		var err error
		if e.call != nil {
			err = e.call(ctx, tx)
		} else {
			err = w.change(ctx, e.change)
		}
		if err != nil {
			return err
		}
	}
	return w.finish(u)
}

// check finds out whether something that was read has changed, or somebody else is to go
// first. An execution that can't run again doesn't stand back for others.
func (u *Unit) check(tx *db.Tx) error {
	replaced := !u.now && u.s.recent.agedSince(u.age, tx.Batch(), u.from.App)
	if u.reads.none() && !replaced {
		return nil
	}
	items, stale := u.s.recent.changedSince(u.since, tx.Batch(), u.from.App, u, &u.reads)
	stale = stale || replaced
	if u.reads.until != 0 && u.reads.until <= cloud.TimeOf(tx.Now) {
		stale = true // something seen has expired
	}
	if u.noRerun || u.committed {
		if stale || len(items) > 0 {
			return errConflict
		}
		return nil
	}
	items = append(items, u.s.turns.ahead(u.exec, u.from.App, u.readAndWritten())...)
	if stale || len(items) > 0 {
		return &contended{turns: u.s.turns, exec: u.exec, items: items}
	}
	return nil
}

// readAndWritten lists the keys on which u could spoil another execution's turn.
func (u *Unit) readAndWritten() []name {
	var names []name
	for n := range u.overlay {
		if u.reads.covers(n) {
			names = append(names, n)
		}
	}
	return names
}

// writing is what one closure does to the entries of one app.
type writing struct {
	s    *Store
	tx   *db.Tx
	from cloud.Origin
	now  cloud.Time

	names   []name
	written int64      // bytes
	grown   int64      // bytes more than before
	soonest cloud.Time // the earliest expiry set; 0: none
}

// change makes one change, with its events. An entry that has expired is gone, whether the
// sweep has been there or not: if it was not, its delete event comes first.
func (w *writing) change(ctx context.Context, c *change) error {
	old, err := find(w.tx.Rx, w.from.App, c.name)
	if err != nil {
		return err
	}
	var before json.RawMessage
	if old.visible(w.now) {
		before = old.value
	}
	after, err := c.apply(before)
	if err != nil || before == nil && after == nil {
		return err
	}
	if before == nil && old != nil {
		if err := w.delete(ctx, c.name, old.value); err != nil {
			return err
		}
		old = nil
	}
	if after == nil {
		return w.delete(ctx, c.name, before)
	}
	return w.store(ctx, c, after, old)
}

func (w *writing) delete(ctx context.Context, n name, before json.RawMessage) error {
	_, err := w.tx.Exec(`DELETE FROM kv_entries WHERE app_id = ? AND collection = ? AND key = ?`,
		w.from.App, n.collection, n.key)
	if err != nil {
		return fmt.Errorf("delete an entry: %w", err)
	}
	w.note(n)
	w.grown -= int64(n.bytes() + len(before))
	return w.emit(ctx, opDelete, n, nil, before)
}

// store writes value in the place of old, which is nil when there is none.
func (w *writing) store(ctx context.Context, c *change, value json.RawMessage, old *entry) error {
	e := entry{value: value, created: w.now, updated: w.now, expires: c.expires(w.now, old)}
	op, grown := opInsert, c.name.bytes()+len(value)
	var before json.RawMessage
	if old != nil {
		op, before = opUpdate, old.value
		grown = len(value) - len(before)
	}
	if err := upsert(w.tx, w.from.App, c.name, &e); err != nil {
		return err
	}
	w.note(c.name)
	w.grown += int64(grown)
	w.written += int64(c.name.bytes() + len(value))
	if e.expires != 0 && (w.soonest == 0 || e.expires < w.soonest) {
		w.soonest = e.expires
	}
	return w.emit(ctx, op, c.name, value, before)
}

// expires is when the entry that c makes ends.
func (c *change) expires(now cloud.Time, old *entry) cloud.Time {
	switch {
	case c.kind == add, c.ttl == keepTTL:
		if old == nil {
			return 0
		}
		return old.expires
	case c.ttl > 0:
		return now.Add(c.ttl)
	}
	return 0
}

// upsert leaves the creation time of an entry that is there.
func upsert(tx *db.Tx, app cloud.AppID, n name, e *entry) error {
	var expires any
	if e.expires != 0 {
		expires = int64(e.expires)
	}
	_, err := tx.Exec(`INSERT INTO kv_entries (app_id, collection, key, value, created_at, updated_at, expires_at)
		VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (app_id, collection, key) DO UPDATE SET
			value = excluded.value, updated_at = excluded.updated_at, expires_at = excluded.expires_at`,
		app, n.collection, n.key, string(e.value), e.created, e.updated, expires)
	switch {
	case err == nil:
		return nil
	case db.IsForeignKey(err):
		return cloud.Errorf(cloud.NotFound, "the app does not exist any more: nothing can be stored in it").WithCause(err)
	}
	return fmt.Errorf("store an entry: %w", err)
}

func (w *writing) note(n name) { w.names = append(w.names, n) }

func (w *writing) emit(ctx context.Context, op string, n name, value, before json.RawMessage) error {
	ev := cloud.Event{Source: cloud.SourceKV, Op: op, Match: n.collection, Payload: payload(op, n, value, before)}
	return w.s.out.Emit(ctx, w.tx, w.from, ev)
}

// payload is ctx.event of a change; nil values are absent.
func payload(op string, n name, value, before json.RawMessage) json.RawMessage {
	b := make([]byte, 0, 96+n.bytes()+len(value)+len(before))
	b = append(b, `{"source":"kv","op":"`...)
	b = append(b, op...)
	b = append(b, `","kv":{"collection":`...)
	b = appendString(b, n.collection)
	b = append(b, `,"key":`...)
	b = appendString(b, n.key)
	if value != nil {
		b = append(append(b, `,"value":`...), value...)
	}
	if before != nil {
		b = append(append(b, `,"oldValue":`...), before...)
	}
	return append(b, "}}"...)
}

func appendString(b []byte, s string) []byte {
	q, _ := json.Marshal(s) // a string always can be
	return append(b, q...)
}

// finish checks the app's quota and makes the changes known: to the closures that follow in
// the batch at once, to everybody else after the commit.
func (w *writing) finish(by any) error {
	if len(w.names) == 0 {
		return nil
	}
	if err := w.checkQuota(); err != nil {
		return err
	}
	s, app := w.s, w.from.App
	s.recent.announce(w.tx.Batch(), app, by, w.names)
	w.tx.AfterCommit(func() {
		s.recent.publish(app, w.names)
		s.usage.grow(app, w.grown)
		s.metrics.written(app, w.written)
		if w.soonest != 0 {
			s.expiry.note(w.soonest)
		}
	})
	return nil
}
