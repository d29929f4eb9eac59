package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"

	"picloud/app/cloud"
	"picloud/db"
)

// How a dead letter ended, or was looked at in vain.
const (
	Replayed        = "replayed"
	Ignored         = "ignored"
	HandledByScript = "handled_by_script"
	HandlerFailed   = "handler_failed" // a note: the letter stays open
)

// DeadLetterFilter selects letters; zero fields select all.
type DeadLetterFilter struct {
	Unresolved bool                 `json:"unresolved"`
	Source     string               `json:"source"`
	TriggerID  cloud.TriggerID      `json:"trigger_id"`
	ScriptID   cloud.ScriptID       `json:"script_id"`
	IDs        []cloud.DeadLetterID `json:"ids"`
}

// maxIDs bounds DeadLetterFilter.IDs.
const maxIDs = 1000

// where is the filter as SQL: one of few texts but for the number of ids.
func (f *DeadLetterFilter) where(app cloud.AppID) (string, []any, error) {
	clause, args := []string{"app_id = ?"}, []any{app}
	if f.Unresolved {
		clause = append(clause, "resolved_at IS NULL")
	}
	if f.Source != "" {
		clause, args = append(clause, "source = ?"), append(args, f.Source)
	}
	if !f.TriggerID.IsZero() {
		clause, args = append(clause, "trigger_id = ?"), append(args, f.TriggerID)
	}
	if !f.ScriptID.IsZero() {
		clause, args = append(clause, "script_id = ?"), append(args, f.ScriptID)
	}
	if len(f.IDs) > maxIDs {
		return "", nil, cloud.Errorf(cloud.Invalid, "ids has %d entries: at most %d are allowed at a time", len(f.IDs), maxIDs)
	}
	if f.IDs != nil {
		ids := make([]string, len(f.IDs))
		for i, id := range f.IDs {
			ids[i] = fmt.Sprintf("%x", id[:])
		}
		list, err := json.Marshal(ids)
		if err != nil {
			return "", nil, err
		}
		clause, args = append(clause, "lower(hex(id)) IN (SELECT value FROM json_each(?))"), append(args, string(list))
	}
	return strings.Join(clause, " AND "), args, nil
}

// bury makes a dead letter of a row that was just removed, and fires the triggers that wait
// for one.
func (o *Outbox) bury(tx *db.Tx, r *row, history []cloud.Attempt) error {
	attempts, err := json.Marshal(history)
	if err != nil {
		return err
	}
	if consumed(r.lane) {
		r.payload = r.alone()
	}
	id := cloud.NewID[cloud.DeadLetterID]()
	first, last := history[0], history[len(history)-1]
	_, err = tx.Exec(`
		INSERT INTO dead_letters (id, app_id, original_event_id, source, op, trigger_id, script_id, origin_principal, trigger_depth,
			root_execution_id, parent_execution_id, attempt_count, attempts, first_attempt_at, last_attempt_at, last_error, created_at, payload,
			lane, ordering_key)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		id, r.app, r.id, r.source, r.op, r.trigger, r.script, r.principal, r.depth, r.root, r.parent,
		len(history), string(attempts), int64(first.At), int64(last.At), last.Error, tx.Now.UnixMilli(), string(r.payload),
		r.lane, sql.NullString{String: r.key, Valid: r.key != ""})
	if err != nil {
		return fmt.Errorf("insert dead letter: %w", err)
	}
	tx.AfterCommit(o.metrics.deadLetters.WithLabelValues(r.app.String(), r.source).Inc)
	payload, err := json.Marshal(deadLetterEvent{Source: cloud.SourceDeadLetter, DeadLetter: deadLetterDetail{
		ID: id, Original: asJSON(r.payload), Attempts: len(history), LastError: last.Error,
		TriggerID: r.trigger, ScriptID: r.script, FirstAttemptAt: first.At, LastAttemptAt: last.At,
	}})
	if err != nil {
		return err
	}
	from := cloud.Origin{App: r.app, Execution: last.ExecutionID, Root: r.root, Depth: r.depth, Principal: r.principal}
	return o.emit(tx, from, &event{Event: cloud.Event{Source: cloud.SourceDeadLetter, Op: "create", Payload: payload}, letter: r, about: id})
}

// deadLetterEvent is ctx.event of a dead letter's handler (SDK.md).
type deadLetterEvent struct {
	Source     string           `json:"source"`
	DeadLetter deadLetterDetail `json:"dead_letter"`
}

type deadLetterDetail struct {
	ID             cloud.DeadLetterID `json:"id"`
	Original       json.RawMessage    `json:"original"`
	Attempts       int                `json:"attempts"`
	LastError      string             `json:"last_error"`
	TriggerID      cloud.TriggerID    `json:"trigger_id"`
	ScriptID       cloud.ScriptID     `json:"script_id"`
	FirstAttemptAt cloud.Time         `json:"first_attempt_at"`
	LastAttemptAt  cloud.Time         `json:"last_attempt_at"`
}

// asJSON is a payload as it may stand inside JSON: as it is, or, if it is damaged, as a string.
func asJSON(payload []byte) json.RawMessage {
	if json.Valid(payload) {
		return payload
	}
	s, _ := json.Marshal(string(payload)) // can't fail: invalid UTF-8 is replaced
	return s
}

// noteHandled resolves a letter whose handler succeeded, unless the handler did so itself.
func noteHandled(tx *db.Tx, id cloud.DeadLetterID) error {
	_, err := tx.Exec(`UPDATE dead_letters SET resolved_at = ?, resolution = ?, reason = NULL WHERE id = ? AND resolved_at IS NULL`,
		tx.Now.UnixMilli(), HandledByScript, id)
	return err
}

// noteHandlerFailed marks a letter whose handler failed. It stays open.
func noteHandlerFailed(tx *db.Tx, id cloud.DeadLetterID, reason string) error {
	_, err := tx.Exec(`UPDATE dead_letters SET resolution = ?, reason = ? WHERE id = ? AND resolved_at IS NULL`, HandlerFailed, reason, id)
	return err
}

const letterColumns = `id, app_id, original_event_id, source, op, trigger_id, script_id, trigger_depth, root_execution_id, attempt_count, attempts,
	first_attempt_at, last_attempt_at, last_error, created_at, coalesce(resolved_at, 0), coalesce(resolution, ''), coalesce(reason, ''), payload`

func scanLetter(rows *sql.Rows) (*cloud.DeadLetter, error) {
	x := &cloud.DeadLetter{}
	var attempts, payload []byte
	err := rows.Scan(&x.ID, &x.AppID, &x.OriginalEventID, &x.Source, &x.Op, &x.TriggerID, &x.ScriptID, &x.Depth, &x.RootExecutionID, &x.AttemptCount, &attempts,
		(*int64)(&x.FirstAttemptAt), (*int64)(&x.LastAttemptAt), &x.LastError, (*int64)(&x.CreatedAt), (*int64)(&x.ResolvedAt), &x.Resolution, &x.Reason, &payload)
	if err != nil {
		return nil, err
	}
	x.Payload = asJSON(payload)
	x.Attempts, err = readHistory(attempts)
	return x, err
}

// DeadLetters lists letters, newest first.
func (o *Outbox) DeadLetters(ctx context.Context, app cloud.AppID, f DeadLetterFilter, p cloud.Page) (letters []*cloud.DeadLetter, next string, err error) {
	before, err := newestFirst[cloud.DeadLetterID](p)
	if err != nil {
		return nil, "", err
	}
	clause, args, err := f.where(app)
	if err != nil {
		return nil, "", err
	}
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT `+letterColumns+` FROM dead_letters WHERE `+clause+` AND id < ? ORDER BY id DESC LIMIT ?`,
			append(args, before[:], p.Clamp()+1)...)
		if err != nil {
			return fmt.Errorf("list dead letters: %w", err)
		}
		letters, err = scanAll(rows, scanLetter)
		return err
	})
	if len(letters) > p.Clamp() {
		letters = letters[:p.Clamp()]
		next = letters[len(letters)-1].ID.String()
	}
	return letters, next, err
}

var errNoLetter = cloud.Errorf(cloud.NotFound, "the app has no such dead letter")

// DeadLetter is one letter of the app; NotFound when it is not the app's.
func (o *Outbox) DeadLetter(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID) (letter *cloud.DeadLetter, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT `+letterColumns+` FROM dead_letters WHERE id = ? AND app_id = ?`, id, app)
		if err != nil {
			return fmt.Errorf("read dead letter: %w", err)
		}
		found, err := scanAll(rows, scanLetter)
		if err != nil {
			return err
		}
		if len(found) == 0 {
			return errNoLetter
		}
		letter = found[0]
		return nil
	})
	return letter, err
}

// CountUnresolved counts an app's open letters.
func (o *Outbox) CountUnresolved(ctx context.Context, app cloud.AppID) (n int, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT count(*) FROM dead_letters WHERE app_id = ? AND resolved_at IS NULL`, app).Scan(&n)
	})
	return n, err
}

// Unresolved counts the open letters of every app.
func (o *Outbox) Unresolved(ctx context.Context) (map[cloud.AppID]int, error) {
	counts := map[cloud.AppID]int{}
	err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		rows, err := rx.Query(`SELECT id, (SELECT count(*) FROM dead_letters WHERE app_id = apps.id AND resolved_at IS NULL) FROM apps`)
		if err != nil {
			return fmt.Errorf("count open dead letters: %w", err)
		}
		defer rows.Close()
		for rows.Next() {
			var app cloud.AppID
			var n int
			if err := rows.Scan(&app, &n); err != nil {
				return err
			}
			counts[app] = n
		}
		return rows.Err()
	})
	return counts, err
}

// Replay puts a letter's event back into the outbox, with its id, root and depth, to be
// tried from the start, in the lane and behind the rows with the key that it had; the letter
// is resolved by it. A letter that is resolved already is a
// Conflict.
func (o *Outbox) Replay(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID) error {
	return o.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error { return o.ReplayTx(ctx, tx, app, id) })
}

// ReplayTx is Replay inside an execution's own commit.
//
// The row has the id of the first one: the event is the same, so are its idempotency key and
// the URL that tells its state. No two rows can get one id: an event is a row, or it has one
// open letter.
func (o *Outbox) ReplayTx(_ context.Context, tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID) error {
	r := &row{app: app}
	err := tx.QueryRow(`
		SELECT original_event_id, source, op, trigger_id, script_id, origin_principal, trigger_depth, root_execution_id, parent_execution_id, payload,
			lane, coalesce(ordering_key, '')
		FROM dead_letters WHERE id = ? AND app_id = ?`, id, app).
		Scan(&r.id, &r.source, &r.op, &r.trigger, &r.script, &r.principal, &r.depth, &r.root, &r.parent, &r.payload, &r.lane, &r.key)
	if err == sql.ErrNoRows {
		return errNoLetter
	}
	if err != nil {
		return fmt.Errorf("read dead letter: %w", err)
	}
	r.retry = o.retryIn(r.lane)
	if err := resolve(tx, app, id, Replayed, ""); err != nil {
		return err
	}
	if consumed(r.lane) { // by the trigger that its queue has when it runs
		r.trigger, r.script = cloud.TriggerID{}, cloud.ScriptID{}
	}
	if err := currentPolicy(tx, r); err != nil {
		return err
	}
	return o.insert(tx, r)
}

// currentPolicy gives a row the retry policy that its trigger has now.
func currentPolicy(tx *db.Tx, r *row) error {
	err := tx.QueryRow(`SELECT retry_max_attempts, retry_backoff, retry_base_ms FROM triggers WHERE id = ?`, r.trigger).
		Scan(&r.retry.MaxAttempts, &r.retry.Backoff, &r.retry.BaseMS)
	if err != nil && err != sql.ErrNoRows {
		return fmt.Errorf("read trigger: %w", err)
	}
	return nil
}

// Resolve marks a letter as ignored. A letter that is resolved already is a Conflict.
func (o *Outbox) Resolve(ctx context.Context, app cloud.AppID, id cloud.DeadLetterID, reason string) error {
	return o.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
		return o.ResolveTx(ctx, tx, app, id, Ignored, reason)
	})
}

// ResolveTx is Resolve inside an execution's own commit; resolution is Ignored or
// HandledByScript.
func (o *Outbox) ResolveTx(_ context.Context, tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID, resolution, reason string) error {
	if resolution != Ignored && resolution != HandledByScript {
		return cloud.Errorf(cloud.Invalid, "resolution is %q: write %s or %s", resolution, Ignored, HandledByScript)
	}
	return resolve(tx, app, id, resolution, reason)
}

// MaxReason bounds what is said about a letter that is resolved, in bytes.
const MaxReason = 1000

func resolve(tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID, resolution, reason string) error {
	if len(reason) > MaxReason {
		return cloud.Errorf(cloud.Invalid, "the reason has %d bytes, %d are allowed", len(reason), MaxReason)
	}
	res, err := tx.Exec(`
		UPDATE dead_letters SET resolved_at = ?, resolution = ?, reason = ?
		WHERE id = ? AND app_id = ? AND resolved_at IS NULL`,
		tx.Now.UnixMilli(), resolution, sql.NullString{String: reason, Valid: reason != ""}, id, app)
	if err != nil {
		return fmt.Errorf("resolve dead letter: %w", err)
	}
	if n, err := res.RowsAffected(); err != nil || n == 1 {
		return err
	}
	var how string
	err = tx.QueryRow(`SELECT resolution FROM dead_letters WHERE id = ? AND app_id = ?`, id, app).Scan(&how)
	if err == sql.ErrNoRows {
		return errNoLetter
	}
	return cmp.Or[error](err, cloud.Errorf(cloud.Conflict, "the dead letter is resolved already (%s)", how))
}

// bulk is how many letters one transaction replays or resolves.
const bulk = 100

// ReplayMany replays all open letters that f selects and counts them. It works in batches:
// when it fails, what it counted is done.
func (o *Outbox) ReplayMany(ctx context.Context, app cloud.AppID, f DeadLetterFilter) (int, error) {
	return o.many(ctx, app, f, o.ReplayTx)
}

// ResolveMany is Resolve for all open letters that f selects, as ReplayMany.
func (o *Outbox) ResolveMany(ctx context.Context, app cloud.AppID, f DeadLetterFilter, reason string) (int, error) {
	return o.many(ctx, app, f, func(ctx context.Context, tx *db.Tx, app cloud.AppID, id cloud.DeadLetterID) error {
		return resolve(tx, app, id, Ignored, reason)
	})
}

// many does f to the open letters of a filter, oldest first. Letters that come up while it
// runs, such as those of replayed events that fail again, are left alone.
func (o *Outbox) many(ctx context.Context, app cloud.AppID, f DeadLetterFilter, do func(context.Context, *db.Tx, cloud.AppID, cloud.DeadLetterID) error) (int, error) {
	f.Unresolved = true
	clause, args, err := f.where(app)
	if err != nil {
		return 0, err
	}
	total := 0
	var after cloud.DeadLetterID
	last := cloud.NewID[cloud.DeadLetterID]()
	for {
		var ids []cloud.DeadLetterID
		err := o.db.UpdateFor(ctx, db.Cause{App: app}, func(ctx context.Context, tx *db.Tx) error {
			rows, err := tx.Query(`SELECT id FROM dead_letters WHERE `+clause+` AND id > ? AND id < ? ORDER BY id LIMIT ?`,
				append(args[:len(args):len(args)], after[:], last, bulk)...)
			if err != nil {
				return fmt.Errorf("select dead letters: %w", err)
			}
			ids, err = scanAll(rows, func(rows *sql.Rows) (id cloud.DeadLetterID, err error) { return id, rows.Scan(&id) })
			if err != nil {
				return err
			}
			for _, id := range ids {
				if err := do(ctx, tx, app, id); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return total, err
		}
		total += len(ids)
		if len(ids) < bulk {
			return total, nil
		}
		after = ids[len(ids)-1]
	}
}
