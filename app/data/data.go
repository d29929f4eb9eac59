// Package data is what scripts keep: the unit of work (snapshot, overlay, conflict check)
// and the key-value store. DESIGN.md says how conflicts are found and why that is enough.
package data

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// Bounds of names and values (SDK.md).
const (
	MaxCollection = 128     // bytes
	MaxKey        = 1024    // bytes
	MaxValue      = 1 << 20 // bytes of JSON
	DefaultList   = 100     // keys of one list call
	MaxList       = 1000    // keys of one list or getMany call
)

// Defaults of cloud.Limits.
const (
	DefaultWrites     = 1000    // per commit
	DefaultWriteBytes = 4 << 20 // per commit
)

// Emitter puts events into the outbox. *outbox.Outbox is the real one.
type Emitter interface {
	Emit(ctx context.Context, tx *db.Tx, from cloud.Origin, ev cloud.Event) error
}

// Options of New. The zero value works.
type Options struct {
	// Quota says how many bytes of keys and values an app may keep; 0 is no bound. It is
	// asked inside the write transaction, so it must answer from memory. nil: no bounds.
	Quota func(app cloud.AppID) (kvBytes int64)
	// Recent bounds how many recently written keys are remembered to find conflicts; an
	// execution during which more keys than that are written runs again. 0: 65,536.
	Recent int
	// ClockWait is for how long after a jump ahead of the clock expired entries, which can't be
	// seen any more, are still there if it is set back. Synced ends that, as outbox's does.
	ClockWait time.Duration
	Synced    func() (synced, known bool)
	Logger    *slog.Logger // slog.Default

	Tokens      TokenOptions // of subscribers from outside
	Subscribers SubscriberOptions
}

// Store is the key-value store of all apps.
type Store struct {
	db      *db.DB
	out     Emitter
	quota   func(cloud.AppID) int64
	log     *slog.Logger
	recent  *recent
	turns   *turns
	usage   *usage
	metrics metrics
	expiry  expiry
	steady  cloud.Steady
	wait    time.Duration
	synced  func() (synced, known bool)
	tokens  TokenOptions
	hub     *hub
}

// New makes the store of d, whose events go to out. Serve must run for expired entries to be
// deleted.
func New(d *db.DB, out Emitter, o Options) *Store {
	if o.Recent <= 0 {
		o.Recent = 1 << 16
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return &Store{
		db: d, out: out, quota: o.Quota, log: o.Logger,
		recent:  newRecent(o.Recent, recentBytes),
		turns:   newTurns(),
		usage:   newUsage(),
		metrics: newMetrics(),
		expiry:  expiry{wake: make(chan struct{}, 1)},
		tokens:  o.Tokens.withDefaults(),
		hub:     newHub(o.Subscribers),
		wait:    o.ClockWait, synced: o.Synced,
	}
}

// name is a key with its collection. A unit of work is of one app, so a name holds none.
type name struct{ collection, key string }

func (n name) bytes() int { return len(n.collection) + len(n.key) }

func (n name) check() error {
	if err := checkCollection(n.collection); err != nil {
		return err
	}
	return checkText("key", n.key, MaxKey)
}

func checkCollection(s string) error { return checkText("collection name", s, MaxCollection) }

func checkText(what, s string, most int) error {
	switch {
	case s == "":
		return cloud.Errorf(cloud.Invalid, "the %s is empty: give one of 1 to %d bytes", what, most)
	case len(s) > most:
		return cloud.Errorf(cloud.Invalid, "the %s has %d bytes: at most %d are allowed", what, len(s), most)
	case !utf8.ValidString(s):
		return cloud.Errorf(cloud.Invalid, "the %s is not valid UTF-8", what)
	}
	return nil
}

func checkValue(v json.RawMessage) error {
	switch {
	case len(v) == 0:
		return cloud.Errorf(cloud.Invalid, "there is no value to store: use delete to remove a key, or store null")
	case len(v) > MaxValue:
		return cloud.Errorf(cloud.Invalid, "the value has %d bytes of JSON: at most %d are allowed", len(v), MaxValue)
	case !utf8.Valid(v), !json.Valid(v):
		return cloud.Errorf(cloud.Invalid, "the value is not valid JSON")
	}
	return nil
}
