package outbox

import (
	"fmt"

	"picloud/app/cloud"
	"picloud/db"
)

// kindPubSub fires when a message is published on a topic.
var kindPubSub = &kind{
	name:  cloud.SourcePubSub,
	check: checkPubSub,
	patch: patchPubSub,
	store: storePubSub,
	load:  loadPubSub,
	match: func(t *cloud.Trigger, ev *event) bool { return matchGlob(t.PubSub.Topic, ev.Match) },
}

func checkPubSub(t *cloud.Trigger) error {
	if t.PubSub == nil {
		return cloud.Errorf(cloud.Invalid, "a pubsub trigger needs a topic")
	}
	return checkGlob("topic", t.PubSub.Topic)
}

// PubSubPatch changes a cloud.PubSubFilter.
type PubSubPatch struct {
	Topic *string `json:"topic"`
}

func patchPubSub(t *cloud.Trigger, p *FilterPatch) {
	f, own := *t.PubSub, take(&p.PubSubPatch)
	set(&f.Topic, own.Topic)
	t.PubSub = &f
}

func storePubSub(tx *db.Tx, t *cloud.Trigger) error {
	_, err := tx.Exec(`
		INSERT INTO pubsub_trigger_details (trigger_id, topic) VALUES (?, ?)
		ON CONFLICT (trigger_id) DO UPDATE SET topic = excluded.topic`, t.ID, t.PubSub.Topic)
	if err != nil {
		return fmt.Errorf("store pubsub trigger: %w", err)
	}
	return nil
}

func loadPubSub(rx *db.Rx, t *cloud.Trigger) error {
	f := &cloud.PubSubFilter{}
	if err := rx.QueryRow(`SELECT topic FROM pubsub_trigger_details WHERE trigger_id = ?`, t.ID).Scan(&f.Topic); err != nil {
		return fmt.Errorf("load pubsub trigger %s: %w", t.ID, err)
	}
	t.PubSub = f
	return nil
}
