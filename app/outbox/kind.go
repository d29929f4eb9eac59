package outbox

import (
	"picloud/app/cloud"
	"picloud/db"
)

// kind is a way to fire a script. A new one is one file like kind_kv.go, one line in kinds,
// its detail table, and an Emit where the thing happens.
type kind struct {
	name string // and the source of its events

	// check completes the filter of a trigger and tells what is wrong with it (Invalid).
	check func(t *cloud.Trigger) error
	// patch changes the filter; it reports false when p has fields of another kind.
	patch func(t *cloud.Trigger, p *TriggerPatch) bool
	// store writes the filter to the detail table, over the old one; load reads it.
	store func(tx *db.Tx, t *cloud.Trigger) error
	load  func(rx *db.Rx, t *cloud.Trigger) error
	// match reports whether the trigger fires for an event of its source.
	match func(t *cloud.Trigger, ev *event) bool
}

var kinds = []*kind{kindKV, kindDeadLetter}

func kindOf(name string) *kind {
	for _, k := range kinds {
		if k.name == name {
			return k
		}
	}
	return nil
}
