package outbox

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// TriggerPatch changes a trigger; nil fields stay.
type TriggerPatch struct {
	Enabled          *bool           `json:"enabled"`
	ScriptID         *cloud.ScriptID `json:"script_id"`
	DispatchMode     *string         `json:"dispatch_mode"`
	RetryMaxAttempts *int            `json:"retry_max_attempts"`
	RetryBackoff     *string         `json:"retry_backoff"`
	RetryBaseMS      *int            `json:"retry_base_ms"`
	FilterPatch
}

// FilterPatch changes a trigger's filter. A kind takes its own part of it and leaves it
// empty; a part that is left is of another kind than the trigger.
type FilterPatch struct {
	KVPatch
	DeadLetterPatch
	CronPatch
	PubSubPatch
	QueuePatch
}

// CreateTrigger stores t and fills its id, times, and what was left out of its retry policy.
// Errors are Invalid for a bad filter or policy, and NotFound for a script that the app
// doesn't have.
func (o *Outbox) CreateTrigger(ctx context.Context, t *cloud.Trigger) error {
	if err := o.CheckTrigger(t); err != nil {
		return err
	}
	s, err := o.o.Scripts.Script(ctx, t.ScriptID)
	if err := checkScript(t, s, err); err != nil {
		return err
	}
	t.ID = cloud.NewID[cloud.TriggerID]()
	return o.db.UpdateFor(ctx, db.Cause{App: t.AppID}, func(_ context.Context, tx *db.Tx) error { return o.CreateTriggerTx(tx, t) })
}

// CreateTriggerTx stores a trigger that has its id and has passed CheckTrigger. The script
// may be of the same transaction.
func (o *Outbox) CreateTriggerTx(tx *db.Tx, t *cloud.Trigger) error {
	t.CreatedAt = cloud.TimeOf(tx.Now)
	t.UpdatedAt = t.CreatedAt
	_, err := tx.Exec(`
		INSERT INTO triggers (id, app_id, script_id, kind, enabled, dispatch_mode, retry_max_attempts, retry_backoff, retry_base_ms,
			registered_by_principal, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		t.ID, t.AppID, t.ScriptID, t.Kind, t.Enabled, t.DispatchMode, t.RetryMaxAttempts, t.RetryBackoff, t.RetryBaseMS,
		t.RegisteredByPrincipal, int64(t.CreatedAt), int64(t.UpdatedAt))
	if db.IsForeignKey(err) {
		return errNoScript
	}
	if err != nil {
		return fmt.Errorf("insert trigger: %w", err)
	}
	if err := kindOf(t.Kind).store(tx, t); err != nil {
		return err
	}
	return o.triggerChanged(tx, nil, t)
}

// triggerChanged tells who keeps triggers in memory, or sleeps by them, of one that was
// created (before is nil), changed or deleted (after is nil).
func (o *Outbox) triggerChanged(tx *db.Tx, before, after *cloud.Trigger) error {
	t := cmp.Or(after, before)
	o.triggers.changed(tx, t.AppID)
	o.cronChanged(tx)
	if k := kindOf(t.Kind); k.changed != nil {
		return k.changed(o, tx, before, after)
	}
	return nil
}

var (
	errNoScript  = cloud.Errorf(cloud.NotFound, "the app has no such script")
	errNoTrigger = cloud.Errorf(cloud.NotFound, "the app has no such trigger")
)

// CheckTrigger fills in what was left out of a trigger's retry policy, completes its filter
// and checks everything but whether its script exists.
func (o *Outbox) CheckTrigger(t *cloud.Trigger) error {
	t.DispatchMode = cmp.Or(t.DispatchMode, cloud.DispatchAsync)
	t.RetryMaxAttempts = cmp.Or(t.RetryMaxAttempts, o.o.Retry.MaxAttempts)
	t.RetryBackoff = cmp.Or(t.RetryBackoff, o.o.Retry.Backoff)
	t.RetryBaseMS = cmp.Or(t.RetryBaseMS, o.o.Retry.BaseMS)
	return checkTrigger(t)
}

// checkTrigger checks everything about a trigger but its script, and completes its filter.
func checkTrigger(t *cloud.Trigger) error {
	k := kindOf(t.Kind)
	switch {
	case k == nil:
		return cloud.Errorf(cloud.Invalid, "there are no triggers of kind %q", t.Kind)
	case t.DispatchMode != cloud.DispatchAsync:
		return cloud.Errorf(cloud.Invalid, "dispatch_mode is %q: a trigger has no caller that could wait, write async", t.DispatchMode)
	case t.RegisteredByPrincipal.IsZero():
		return cloud.Errorf(cloud.Forbidden, "a trigger runs as the user who registers it: sign in first")
	}
	if err := k.check(t); err != nil {
		return err
	}
	return retryOf(t).Check()
}

// checkScript answers for another app's script as for one that doesn't exist; s and err are what
// was found.
func checkScript(t *cloud.Trigger, s *cloud.Script, err error) error {
	if cloud.KindOf(err) == cloud.NotFound || err == nil && s.AppID != t.AppID {
		return errNoScript
	}
	return err
}

func retryOf(t *cloud.Trigger) Retry {
	return Retry{MaxAttempts: t.RetryMaxAttempts, Backoff: t.RetryBackoff, BaseMS: t.RetryBaseMS}
}

// Triggers lists an app's triggers, oldest first.
func (o *Outbox) Triggers(ctx context.Context, app cloud.AppID, p cloud.Page) (triggers []*cloud.Trigger, next string, err error) {
	var after cloud.TriggerID
	if p.Cursor != "" {
		if after, err = idCursor[cloud.TriggerID](p.Cursor); err != nil {
			return nil, "", err
		}
	}
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		var err error
		triggers, err = selectTriggers(rx, `WHERE app_id = ? AND id > ? ORDER BY id LIMIT ?`, app, after[:], p.Clamp()+1)
		return err
	})
	if len(triggers) > p.Clamp() {
		triggers = triggers[:p.Clamp()]
		next = triggers[len(triggers)-1].ID.String()
	}
	return triggers, next, err
}

// Trigger is one trigger of the app; NotFound when it is not the app's.
func (o *Outbox) Trigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID) (t *cloud.Trigger, err error) {
	err = o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		t, err = triggerOf(rx, app, id)
		return err
	})
	return t, err
}

func triggerOf(rx *db.Rx, app cloud.AppID, id cloud.TriggerID) (*cloud.Trigger, error) {
	found, err := selectTriggers(rx, `WHERE id = ? AND app_id = ?`, id, app)
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errNoTrigger
	}
	return found[0], nil
}

// UpdateTrigger changes a trigger. Rows that wait already keep the script and the policy
// that they were made with.
func (o *Outbox) UpdateTrigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID, p TriggerPatch) (*cloud.Trigger, error) {
	var t *cloud.Trigger
	err := o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error {
		var err error
		if t, err = triggerOf(tx.Rx, app, id); err != nil {
			return err
		}
		if !p.apply(t) {
			return cloud.Errorf(cloud.Invalid, "the filter has fields that a %s trigger doesn't have", t.Kind)
		}
		if err := checkTrigger(t); err != nil {
			return err
		}
		s, err := o.o.Scripts.ScriptTx(tx.Rx, t.ScriptID)
		if err := checkScript(t, s, err); err != nil {
			return err
		}
		return o.UpdateTriggerTx(tx, t)
	})
	return t, err
}

// UpdateTriggerTx stores a trigger that has passed CheckTrigger over the one with its id.
func (o *Outbox) UpdateTriggerTx(tx *db.Tx, t *cloud.Trigger) error {
	before, err := triggerOf(tx.Rx, t.AppID, t.ID)
	if err != nil {
		return err
	}
	t.UpdatedAt = cloud.TimeOf(tx.Now)
	_, err = tx.Exec(`
		UPDATE triggers SET script_id = ?, enabled = ?, dispatch_mode = ?, retry_max_attempts = ?, retry_backoff = ?, retry_base_ms = ?, updated_at = ?
		WHERE id = ?`, t.ScriptID, t.Enabled, t.DispatchMode, t.RetryMaxAttempts, t.RetryBackoff, t.RetryBaseMS, int64(t.UpdatedAt), t.ID)
	if db.IsForeignKey(err) {
		return errNoScript
	}
	if err != nil {
		return fmt.Errorf("update trigger: %w", err)
	}
	if err := kindOf(t.Kind).store(tx, t); err != nil {
		return err
	}
	return o.triggerChanged(tx, before, t)
}

// apply reports false when p has fields of another kind.
func (p *TriggerPatch) apply(t *cloud.Trigger) bool {
	set(&t.Enabled, p.Enabled)
	set(&t.ScriptID, p.ScriptID)
	set(&t.DispatchMode, p.DispatchMode)
	set(&t.RetryMaxAttempts, p.RetryMaxAttempts)
	set(&t.RetryBackoff, p.RetryBackoff)
	set(&t.RetryBaseMS, p.RetryBaseMS)
	kindOf(t.Kind).patch(t, &p.FilterPatch)
	return p.FilterPatch == (FilterPatch{})
}

// take empties a kind's part of a patch and returns what it held.
func take[T any](part *T) (was T) {
	was, *part = *part, was
	return was
}

func set[T any](to, from *T) {
	if from != nil {
		*to = *from
	}
}

// DeleteTrigger deletes a trigger. Rows of it that wait become dead letters when they are
// due, with that reason; the messages of a queue stay and wait for its next trigger.
func (o *Outbox) DeleteTrigger(ctx context.Context, app cloud.AppID, id cloud.TriggerID) error {
	return o.db.UpdateFor(ctx, db.Cause{App: app}, func(_ context.Context, tx *db.Tx) error { return o.DeleteTriggerTx(tx, app, id) })
}

// DeleteTriggerTx is DeleteTrigger within a transaction.
func (o *Outbox) DeleteTriggerTx(tx *db.Tx, app cloud.AppID, id cloud.TriggerID) error {
	t, err := triggerOf(tx.Rx, app, id)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM triggers WHERE id = ?`, id); err != nil {
		return fmt.Errorf("delete trigger: %w", err)
	}
	return o.triggerChanged(tx, t, nil)
}

// TriggersTx are all triggers of an app, by id.
func (o *Outbox) TriggersTx(rx *db.Rx, app cloud.AppID) ([]*cloud.Trigger, error) {
	return selectTriggers(rx, `WHERE app_id = ? ORDER BY id`, app)
}

// selectTriggers loads the triggers that a clause selects, with their filters.
func selectTriggers(rx *db.Rx, clause string, args ...any) ([]*cloud.Trigger, error) {
	rows, err := rx.Query(`
		SELECT id, app_id, script_id, kind, enabled, dispatch_mode, retry_max_attempts, retry_backoff, retry_base_ms,
			registered_by_principal, created_at, updated_at
		FROM triggers `+clause, args...)
	if err != nil {
		return nil, fmt.Errorf("select triggers: %w", err)
	}
	found, err := scanAll(rows, func(rows *sql.Rows) (*cloud.Trigger, error) {
		t := &cloud.Trigger{}
		return t, rows.Scan(&t.ID, &t.AppID, &t.ScriptID, &t.Kind, &t.Enabled, &t.DispatchMode, &t.RetryMaxAttempts, &t.RetryBackoff, &t.RetryBaseMS,
			&t.RegisteredByPrincipal, (*int64)(&t.CreatedAt), (*int64)(&t.UpdatedAt))
	})
	if err != nil {
		return nil, fmt.Errorf("select triggers: %w", err)
	}
	for _, t := range found {
		k := kindOf(t.Kind)
		if k == nil {
			return nil, fmt.Errorf("trigger %s is of kind %q, which this version doesn't know", t.ID, t.Kind)
		}
		if err := k.load(rx, t); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// scanAll reads and closes rows.
func scanAll[T any](rows *sql.Rows, scan func(*sql.Rows) (T, error)) ([]T, error) {
	defer rows.Close()
	all := []T{}
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return nil, err
		}
		all = append(all, x)
	}
	return all, rows.Err()
}

// idCursor reads a cursor that is an id.
func idCursor[I ~[16]byte](s string) (I, error) {
	id, err := cloud.ParseID[I](s)
	if err != nil {
		return id, errCursor
	}
	return id, nil
}

var errCursor = cloud.Errorf(cloud.BadRequest, "the cursor is not one that a list answered: leave it out to start")
