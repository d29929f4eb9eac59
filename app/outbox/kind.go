package outbox

import (
	"picloud/app/cloud"
	"picloud/db"
)

// kind is a way to fire a script. A new one is one file like kind_kv.go with its part of
// FilterPatch, one line in kinds, its filter in cloud.Trigger, its input in web/triggers.go,
// its detail table, and an Emit where the thing happens.
type kind struct {
	name string // and the source of its events

	// check completes the filter of a trigger and tells what is wrong with it (Invalid).
	check func(t *cloud.Trigger) error
	// patch takes the kind's part of p and changes the filter by it.
	patch func(t *cloud.Trigger, p *FilterPatch)
	// store writes the filter to the detail table, over the old one; load reads it.
	store func(tx *db.Tx, t *cloud.Trigger) error
	load  func(rx *db.Rx, t *cloud.Trigger) error
	// match reports whether the trigger fires for an event of its source.
	match func(t *cloud.Trigger, ev *event) bool
	// changed, where a kind needs it, is told in the transaction that creates (before is nil),
	// changes or deletes (after is nil) a trigger.
	changed func(o *Outbox, tx *db.Tx, before, after *cloud.Trigger) error
}

var kinds = []*kind{kindKV, kindDeadLetter, kindCron, kindPubSub, kindQueue}

func kindOf(name string) *kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}
