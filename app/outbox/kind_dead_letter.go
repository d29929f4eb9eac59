package outbox

import (
	"database/sql"
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// kindDeadLetter fires when a row has used up its attempts.
var kindDeadLetter = &kind{
	name:  cloud.SourceDeadLetter,
	check: checkDeadLetter,
	patch: patchDeadLetter,
	store: storeDeadLetter,
	load:  loadDeadLetter,
	match: func(t *cloud.Trigger, ev *event) bool {
		f, r := t.DeadLetter, ev.letter
		return r != nil &&
			(f.SourceFilter == "" || f.SourceFilter == r.source) &&
			(f.TriggerIDFilter.IsZero() || f.TriggerIDFilter == r.trigger) &&
			(f.ScriptIDFilter.IsZero() || f.ScriptIDFilter == r.script)
	},
}

// checkDeadLetter sees to it that handlers run once.
func checkDeadLetter(t *cloud.Trigger) error {
	if t.DeadLetter == nil {
		t.DeadLetter = &cloud.DeadLetterFilter{}
	}
	if t.DeadLetter.SourceFilter == cloud.SourceDeadLetter {
		return cloud.Errorf(cloud.Invalid, "source_filter can't be dead_letter: handlers of dead letters never become dead letters themselves")
	}
	t.RetryMaxAttempts = 1
	return nil
}

// DeadLetterPatch changes a cloud.DeadLetterFilter.
type DeadLetterPatch struct {
	SourceFilter    *string          `json:"source_filter"`
	TriggerIDFilter *cloud.TriggerID `json:"trigger_id_filter"`
	ScriptIDFilter  *cloud.ScriptID  `json:"script_id_filter"`
}

func patchDeadLetter(t *cloud.Trigger, p *FilterPatch) {
	f, own := *t.DeadLetter, take(&p.DeadLetterPatch)
	set(&f.SourceFilter, own.SourceFilter)
	set(&f.TriggerIDFilter, own.TriggerIDFilter)
	set(&f.ScriptIDFilter, own.ScriptIDFilter)
	t.DeadLetter = &f
}

func storeDeadLetter(tx *db.Tx, t *cloud.Trigger) error {
	f := t.DeadLetter
	_, err := tx.Exec(`
		INSERT INTO dead_letter_trigger_details (trigger_id, source_filter, trigger_id_filter, script_id_filter) VALUES (?, ?, ?, ?)
		ON CONFLICT (trigger_id) DO UPDATE SET source_filter = excluded.source_filter,
			trigger_id_filter = excluded.trigger_id_filter, script_id_filter = excluded.script_id_filter`,
		t.ID, sql.NullString{String: f.SourceFilter, Valid: f.SourceFilter != ""}, f.TriggerIDFilter, f.ScriptIDFilter)
	if err != nil {
		return fmt.Errorf("store dead letter trigger: %w", err)
	}
	return nil
}

func loadDeadLetter(rx *db.Rx, t *cloud.Trigger) error {
	f := &cloud.DeadLetterFilter{}
	var source sql.NullString
	err := rx.QueryRow(`SELECT source_filter, trigger_id_filter, script_id_filter FROM dead_letter_trigger_details WHERE trigger_id = ?`, t.ID).
		Scan(&source, &f.TriggerIDFilter, &f.ScriptIDFilter)
	if err != nil {
		return fmt.Errorf("load dead letter trigger %s: %w", t.ID, err)
	}
	f.SourceFilter = source.String
	t.DeadLetter = f
	return nil
}
