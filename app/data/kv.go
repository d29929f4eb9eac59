package data

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// maxManyBytes bounds the answer of one GetMany.
const maxManyBytes = 16 << 20

// Get answers the value of a key and whether it is there.
func (u *Unit) Get(ctx context.Context, collection, key string) (json.RawMessage, bool, error) {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return nil, false, err
	}
	v, err := u.current(ctx, n)
	return v, v != nil, err
}

// Has is Get without the value.
func (u *Unit) Has(ctx context.Context, collection, key string) (bool, error) {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return false, err
	}
	return u.exists(ctx, n)
}

// GetMany answers the values of those of keys that are there; at most MaxList keys.
func (u *Unit) GetMany(ctx context.Context, collection string, keys []string) (map[string]json.RawMessage, error) {
	if len(keys) > MaxList {
		return nil, cloud.Errorf(cloud.Invalid, "getMany was given %d keys: at most %d are allowed", len(keys), MaxList)
	}
	if err := checkCollection(collection); err != nil {
		return nil, err
	}
	values := make(map[string]json.RawMessage, len(keys))
	bytes := 0
	for _, key := range keys {
		v, ok, err := u.Get(ctx, collection, key)
		if err != nil {
			return nil, err
		}
		if bytes += len(v); bytes > maxManyBytes {
			return nil, cloud.Errorf(cloud.TooLarge, "getMany would answer more than %d bytes: ask for fewer keys at once", maxManyBytes)
		}
		if ok {
			values[key] = v
		}
	}
	return values, nil
}

// Set stores value (valid JSON) at commit; ttl, in milliseconds at the finest, counts from
// then, and 0 is for ever.
func (u *Unit) Set(ctx context.Context, collection, key string, value json.RawMessage, ttl time.Duration) error {
	n := name{collection, key}
	if err := cmp.Or(u.usable(ctx), n.check(), checkValue(value)); err != nil {
		return err
	}
	if ttl < 0 {
		return cloud.Errorf(cloud.Invalid, "the ttl is negative: give the seconds that the key is to live, or none")
	}
	if ttl > 0 {
		ttl = max(ttl, time.Millisecond)
	}
	return u.stage(change{name: n, kind: put, value: value, ttl: ttl})
}

// Delete reports whether the key was there: it is a read as well as a write.
func (u *Unit) Delete(ctx context.Context, collection, key string) (bool, error) {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return false, err
	}
	was, err := u.exists(ctx, n)
	if err != nil || !was {
		return false, err
	}
	return true, u.stage(change{name: n, kind: remove})
}

// Increment adds by to a number (absent: 0) and returns the sum. The key lives as long as it
// would have. A value that is no number is Invalid.
func (u *Unit) Increment(ctx context.Context, collection, key string, by float64) (float64, error) {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return 0, err
	}
	before, err := u.current(ctx, n)
	if err != nil {
		return 0, err
	}
	v, err := sum(n, before, by)
	if err != nil {
		return 0, err
	}
	if err := u.stage(change{name: n, kind: put, value: v, ttl: u.sameTTL(n)}); err != nil {
		return 0, err
	}
	return strconv.ParseFloat(string(v), 64)
}

// sameTTL is the ttl that leaves n's end where it is.
func (u *Unit) sameTTL(n name) time.Duration {
	c := u.overlay[n]
	switch {
	case c == nil, c.kind == add:
		return keepTTL
	case c.kind == remove:
		return 0
	}
	return c.ttl
}

// Add is Increment without an answer, done at commit, so that it never conflicts. A value
// that is no number then makes the commit Invalid.
func (u *Unit) Add(ctx context.Context, collection, key string, by float64) error {
	n := name{collection, key}
	if err := cmp.Or(u.usable(ctx), n.check(), checkNumber(n, by)); err != nil {
		return err
	}
	return u.stage(change{name: n, kind: add, plus: by})
}

// current is the value of n as this execution sees it, nil when there is none.
func (u *Unit) current(ctx context.Context, n name) (json.RawMessage, error) {
	c := u.overlay[n]
	if c != nil && c.kind != add {
		return c.value, u.usable(ctx)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	snap, err := u.viewLocked(ctx)
	if err != nil {
		return nil, err
	}
	e, err := find(snap.Rx, u.from.App, n)
	if err != nil {
		return nil, snap.Noted(err)
	}
	var v json.RawMessage
	if e.visible(cloud.TimeOf(snap.Now)) {
		v = e.value
		u.reads.sawExpiry(e.expires)
	}
	u.reads.addKey(n)
	if c != nil {
		return c.apply(v)
	}
	return v, nil
}

func (u *Unit) exists(ctx context.Context, n name) (bool, error) {
	if c := u.overlay[n]; c != nil {
		return c.kind != remove, u.usable(ctx)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	snap, err := u.viewLocked(ctx)
	if err != nil {
		return false, err
	}
	expires, found, err := findExpiry(snap.Rx, u.from.App, n)
	if err != nil {
		return false, snap.Noted(err)
	}
	u.reads.addKey(n)
	if !found || expires != 0 && expires <= cloud.TimeOf(snap.Now) {
		return false, nil
	}
	u.reads.sawExpiry(expires)
	return true, nil
}

// entry is a row of kv_entries without its name.
type entry struct {
	value            json.RawMessage
	created, updated cloud.Time
	expires          cloud.Time // 0: never
}

func (e *entry) visible(now cloud.Time) bool {
	return e != nil && (e.expires == 0 || e.expires > now)
}

// find reads an entry, expired or not; nil when there is none.
func find(rx *db.Rx, app cloud.AppID, n name) (*entry, error) {
	e := &entry{}
	err := rx.QueryRow(`SELECT value, created_at, updated_at, COALESCE(expires_at, 0)
		FROM kv_entries WHERE app_id = ? AND collection = ? AND key = ?`,
		app, n.collection, n.key).Scan((*[]byte)(&e.value), &e.created, &e.updated, &e.expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("read an entry: %w", err)
	}
	return e, nil
}

// findExpiry is find without the value, which may be long.
func findExpiry(rx *db.Rx, app cloud.AppID, n name) (expires cloud.Time, found bool, err error) {
	err = rx.QueryRow(`SELECT COALESCE(expires_at, 0)
		FROM kv_entries WHERE app_id = ? AND collection = ? AND key = ?`,
		app, n.collection, n.key).Scan(&expires)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return 0, false, nil
	case err != nil:
		return 0, false, fmt.Errorf("look for an entry: %w", err)
	}
	return expires, true, nil
}
