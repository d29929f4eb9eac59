package outbox

import (
	"fmt"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// kindQueue consumes a queue. Its events are the queue's messages, which wait in a lane of
// their own: there is no Emit, and so nothing to match.
var kindQueue = &kind{
	name:    cloud.SourceQueue,
	check:   checkQueue,
	patch:   patchQueue,
	store:   storeQueue,
	load:    loadQueue,
	match:   func(*cloud.Trigger, *event) bool { return false },
	changed: queueChanged,
}

// Bounds and defaults of a queue's trigger.
const (
	MaxQueueName = 128 // bytes
	MaxBatch     = 100

	defaultConcurrency   = 8
	maxConcurrency       = 1024
	maxVisibilitySeconds = 12 * 60 * 60
)

func checkQueue(t *cloud.Trigger) error {
	if t.Queue == nil {
		return cloud.Errorf(cloud.Invalid, "a queue trigger needs the name of its queue")
	}
	f := *t.Queue
	if f.BatchSize == 0 {
		f.BatchSize = 1
	}
	if f.Concurrency == 0 {
		f.Concurrency = defaultConcurrency
	}
	t.Queue = &f
	if err := checkQueueName(f.Name); err != nil {
		return err
	}
	switch {
	case f.BatchSize < 1 || f.BatchSize > MaxBatch:
		return cloud.Errorf(cloud.Invalid, "batch_size is %d: write 1 to %d", f.BatchSize, MaxBatch)
	case f.Concurrency < 1 || f.Concurrency > maxConcurrency:
		return cloud.Errorf(cloud.Invalid, "concurrency is %d: write 1 to %d", f.Concurrency, maxConcurrency)
	case f.VisibilityTimeoutSeconds < 0 || f.VisibilityTimeoutSeconds > maxVisibilitySeconds:
		return cloud.Errorf(cloud.Invalid, "visibility_timeout_seconds is %d: write 1 to %d, or 0 for the script's time limit and some grace", f.VisibilityTimeoutSeconds, maxVisibilitySeconds)
	}
	return nil
}

func checkQueueName(name string) error {
	switch {
	case name == "":
		return cloud.Errorf(cloud.Invalid, "the queue's name is empty")
	case len(name) > MaxQueueName:
		return cloud.Errorf(cloud.Invalid, "the queue's name has %d bytes: at most %d are allowed", len(name), MaxQueueName)
	case !utf8.ValidString(name):
		return cloud.Errorf(cloud.Invalid, "the queue's name is not UTF-8")
	}
	return nil
}

// QueuePatch changes a QueueFilter.
type QueuePatch struct {
	Queue                    *string `json:"queue"`
	BatchSize                *int    `json:"batch_size"`
	Concurrency              *int    `json:"concurrency"`
	VisibilityTimeoutSeconds *int    `json:"visibility_timeout_seconds"`
}

func patchQueue(t *cloud.Trigger, p *FilterPatch) {
	f, own := *t.Queue, take(&p.QueuePatch)
	set(&f.Name, own.Queue)
	set(&f.BatchSize, own.BatchSize)
	set(&f.Concurrency, own.Concurrency)
	set(&f.VisibilityTimeoutSeconds, own.VisibilityTimeoutSeconds)
	t.Queue = &f
}

func storeQueue(tx *db.Tx, t *cloud.Trigger) error {
	f := t.Queue
	_, err := tx.Exec(`
		INSERT INTO queue_trigger_details (trigger_id, app_id, queue, batch_size, concurrency, visibility_timeout_seconds) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (trigger_id) DO UPDATE SET queue = excluded.queue, batch_size = excluded.batch_size,
			concurrency = excluded.concurrency, visibility_timeout_seconds = excluded.visibility_timeout_seconds`,
		t.ID, t.AppID, f.Name, f.BatchSize, f.Concurrency, f.VisibilityTimeoutSeconds)
	if db.IsUnique(err) {
		return cloud.Errorf(cloud.Conflict, "the queue %q has a trigger already: change or delete that one, a queue has one consumer", f.Name)
	}
	if err != nil {
		return fmt.Errorf("store queue trigger: %w", err)
	}
	return nil
}

func loadQueue(rx *db.Rx, t *cloud.Trigger) error {
	f := &cloud.QueueFilter{}
	err := rx.QueryRow(`SELECT queue, batch_size, concurrency, visibility_timeout_seconds FROM queue_trigger_details WHERE trigger_id = ?`, t.ID).
		Scan(&f.Name, &f.BatchSize, &f.Concurrency, &f.VisibilityTimeoutSeconds)
	if err != nil {
		return fmt.Errorf("load queue trigger %s: %w", t.ID, err)
	}
	t.Queue = f
	return nil
}

// queueChanged opens and closes lanes.
func queueChanged(o *Outbox, tx *db.Tx, before, after *cloud.Trigger) error {
	if before != nil && (after == nil || after.Queue.Name != before.Queue.Name) {
		if err := o.refreshLane(tx, laneID{before.AppID, QueueLane(before.Queue.Name)}); err != nil {
			return err
		}
	}
	if after == nil {
		return nil
	}
	return o.refreshLane(tx, laneID{after.AppID, QueueLane(after.Queue.Name)})
}
