// Package data is what scripts keep: the unit of work (snapshot, overlay, conflict check)
// and the key-value store.
package data

import (
	"context"
	"encoding/json"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// Bounds of names and values (SDK.md).
const (
	MaxCollection = 128     // bytes
	MaxKey        = 1024    // bytes
	MaxValue      = 1 << 20 // bytes of JSON
	DefaultList   = 100     // keys of one list call
	MaxList       = 1000
)

// Store is the key-value store of all apps.
type Store struct{}

// Begin starts the unit of work of one execution. Nothing is read or pinned before the
// first read. hold is outbox.Runner's; limits bound each commit.
func (s *Store) Begin(inv *cloud.Invocation, limits cloud.Limits, hold func(context.Context, *db.Tx) error) *Unit {
	panic("not written yet")
}

// Unit is everything one execution reads and changes. It is an outbox.Effects. It is used
// by one goroutine at a time.
type Unit struct{}

func (u *Unit) Get(ctx context.Context, collection, key string) (json.RawMessage, bool, error) {
	panic("not written yet")
}
func (u *Unit) Has(ctx context.Context, collection, key string) (bool, error) {
	panic("not written yet")
}

// Set stores value (valid JSON) at commit; ttl 0 is for ever.
func (u *Unit) Set(ctx context.Context, collection, key string, value json.RawMessage, ttl time.Duration) error {
	panic("not written yet")
}

// Delete reports whether the key was there: it is a read as well as a write.
func (u *Unit) Delete(ctx context.Context, collection, key string) (bool, error) {
	panic("not written yet")
}

// Increment adds by to a number (absent: 0) and returns the sum.
func (u *Unit) Increment(ctx context.Context, collection, key string, by float64) (float64, error) {
	panic("not written yet")
}

// Add is Increment without an answer, done at commit, so that it never conflicts.
func (u *Unit) Add(ctx context.Context, collection, key string, by float64) error {
	panic("not written yet")
}
func (u *Unit) GetMany(ctx context.Context, collection string, keys []string) (map[string]json.RawMessage, error) {
	panic("not written yet")
}

// ListOptions of List and Entries.
type ListOptions struct {
	Prefix  string
	Cursor  string // opaque; "" starts
	Limit   int    // 0: DefaultList
	Reverse bool
}

// Entry is one key with its value.
type Entry struct {
	Key   string          `json:"key"`
	Value json.RawMessage `json:"value"`
}

func (u *Unit) List(ctx context.Context, collection string, o ListOptions) (keys []string, next string, err error) {
	panic("not written yet")
}
func (u *Unit) Entries(ctx context.Context, collection string, o ListOptions) (entries []Entry, next string, err error) {
	panic("not written yet")
}

// Defer adds an effect of another package to the commit, in order with the others.
func (u *Unit) Defer(f func(context.Context, *db.Tx) error) { panic("not written yet") }

// Commit commits what was written so far and begins a new snapshot: ctx.commit(). After an
// error the execution must end: a Contended one runs again from the start, unless something
// was committed before.
func (u *Unit) Commit(ctx context.Context) error { panic("not written yet") }

// NoRerun says that the execution called the outside world: a conflict is then final.
func (u *Unit) NoRerun() { panic("not written yet") }

// Empty, Apply and Close are for the dispatcher: see outbox.Effects.
func (u *Unit) Empty() bool                                { panic("not written yet") }
func (u *Unit) Apply(ctx context.Context, tx *db.Tx) error { panic("not written yet") }
func (u *Unit) Close()                                     { panic("not written yet") }

// Collection and Item are what the admin API lists; Value is set only by Get.
type (
	Collection struct {
		Collection string `json:"collection"`
		Keys       int    `json:"keys"`
	}
	Item struct {
		Key       string     `json:"key"`
		Bytes     int        `json:"bytes"`
		UpdatedAt cloud.Time `json:"updated_at"`
		ExpiresAt cloud.Time `json:"expires_at"`
	}
	Record struct {
		Key       string          `json:"key"`
		Value     json.RawMessage `json:"value"`
		CreatedAt cloud.Time      `json:"created_at"`
		UpdatedAt cloud.Time      `json:"updated_at"`
		ExpiresAt cloud.Time      `json:"expires_at"`
	}
)

// The admin's view; from says who, and triggers fire as for a script's writes.
func (s *Store) Collections(ctx context.Context, app cloud.AppID, p cloud.Page) ([]Collection, string, error) {
	panic("not written yet")
}
func (s *Store) Keys(ctx context.Context, app cloud.AppID, collection, prefix string, p cloud.Page) ([]Item, string, error) {
	panic("not written yet")
}
func (s *Store) Get(ctx context.Context, app cloud.AppID, collection, key string) (*Record, error) {
	panic("not written yet")
}
func (s *Store) Put(ctx context.Context, from cloud.Origin, collection, key string, value json.RawMessage, ttl time.Duration) (*Record, error) {
	panic("not written yet")
}
func (s *Store) Delete(ctx context.Context, from cloud.Origin, collection, key string) error {
	panic("not written yet")
}

// Bytes is what an app's keys and values take.
func (s *Store) Bytes(ctx context.Context, app cloud.AppID) (int64, error) { panic("not written yet") }

// Serve deletes expired entries, with their events, when they are due.
func (s *Store) Serve(ctx context.Context) error { panic("not written yet") }
