package data

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/db"
)

// Collection and Item are what the admin API lists; Value is set only by Get.
type (
	Collection struct {
		Collection string `json:"collection"`
		Keys       int    `json:"keys"`
	}
	Item struct {
		Key       string     `json:"key"`
		Bytes     int        `json:"bytes"` // of the value
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

// Collections lists the collections that have keys, by name. It leaps from one to the next
// and counts those of the page.
func (s *Store) Collections(ctx context.Context, app cloud.AppID, p cloud.Page) (list []Collection, next string, err error) {
	last := ""
	if p.Cursor != "" {
		if last, err = decodeCursor(collections, p.Cursor); err != nil {
			return nil, "", err
		}
	}
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		list, next, err = pageOfCollections(rx, app, last, p.Clamp())
		return err
	})
	return list, next, err
}

func pageOfCollections(rx *db.Rx, app cloud.AppID, last string, limit int) ([]Collection, string, error) {
	list := []Collection{}
	for {
		c, err := collectionAfter(rx, app, last)
		switch {
		case err != nil:
			return nil, "", err
		case c == nil:
			return list, "", nil
		case c.Keys > 0 && len(list) == limit:
			return list, encodeCursor(collections, list[limit-1].Collection), nil
		case c.Keys > 0:
			list = append(list, *c)
		}
		last = c.Collection
	}
}

// collectionAfter is the next collection with the number of its visible keys; nil at the end.
// Entries that have expired and wait for the sweep are few and counted by the expiry index.
func collectionAfter(rx *db.Rx, app cloud.AppID, last string) (*Collection, error) {
	c := &Collection{}
	err := rx.QueryRow(`SELECT collection FROM kv_entries
		WHERE app_id = ? AND collection > ? ORDER BY collection LIMIT 1`, app, last).Scan(&c.Collection)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err == nil {
		err = rx.QueryRow(`SELECT (SELECT COUNT(*) FROM kv_entries WHERE app_id = ?1 AND collection = ?2) -
			(SELECT COUNT(*) FROM kv_entries INDEXED BY kv_entries_expiry
				WHERE expires_at <= ?3 AND app_id = ?1 AND collection = ?2)`,
			app, c.Collection, cloud.TimeOf(rx.Now)).Scan(&c.Keys)
	}
	if err != nil {
		return nil, fmt.Errorf("list collections: %w", err)
	}
	return c, nil
}

// Keys lists the keys of a collection that begin with prefix, in order.
func (s *Store) Keys(ctx context.Context, app cloud.AppID, collection, prefix string, p cloud.Page) (list []Item, next string, err error) {
	sp, err := ListOptions{Prefix: prefix, Cursor: p.Cursor}.span(collection)
	if err != nil {
		return nil, "", err
	}
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		list, err = items(rx, app, sp, p.Clamp()+1)
		return err
	})
	if err != nil {
		return nil, "", err
	}
	if len(list) > p.Clamp() {
		list = list[:p.Clamp()]
		next = encodeCursor(upwards, list[len(list)-1].Key)
	}
	return list, next, nil
}

// items reads up to limit entries from the start of s. The prefix is looked at here and not
// in the query, which ends at the limit anyhow.
func items(rx *db.Rx, app cloud.AppID, s span, limit int) ([]Item, error) {
	rows, err := rx.Query(`SELECT key, octet_length(value), updated_at, COALESCE(expires_at, 0) FROM kv_entries
		WHERE app_id = ? AND collection = ? AND key >= ? AND (expires_at IS NULL OR expires_at > ?)
		ORDER BY key LIMIT ?`, app, s.collection, s.from, cloud.TimeOf(rx.Now), limit)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	defer rows.Close()
	list := []Item{}
	for rows.Next() {
		var i Item
		if err := rows.Scan(&i.Key, &i.Bytes, &i.UpdatedAt, &i.ExpiresAt); err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		if !strings.HasPrefix(i.Key, s.prefix) {
			break
		}
		list = append(list, i)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	return list, nil
}

// Get reads one entry; NotFound when there is none.
func (s *Store) Get(ctx context.Context, app cloud.AppID, collection, key string) (r *Record, err error) {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return nil, err
	}
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		r, err = record(rx, app, n)
		return err
	})
	return r, err
}

func record(rx *db.Rx, app cloud.AppID, n name) (*Record, error) {
	e, err := find(rx, app, n)
	if err != nil {
		return nil, err
	}
	if !e.visible(cloud.TimeOf(rx.Now)) {
		return nil, cloud.Errorf(cloud.NotFound, "no key %q in the collection %q", n.key, n.collection)
	}
	return &Record{n.key, e.value, e.created, e.updated, e.expires}, nil
}

// Put stores value for a person; from says who, and triggers fire as for a script's writes.
func (s *Store) Put(ctx context.Context, from cloud.Origin, collection, key string, value json.RawMessage, ttl time.Duration) (r *Record, err error) {
	if !utf8.Valid(value) || !json.Valid(value) {
		return nil, checkValue(value)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, value); err != nil {
		return nil, fmt.Errorf("compact a value: %w", err)
	}
	u := s.begin(cloud.NewID[cloud.ExecutionID](), from, cloud.Limits{}, nil)
	u.now = true
	if err := u.Set(ctx, collection, key, compact.Bytes(), ttl); err != nil {
		return nil, err
	}
	// Nothing was read, so nothing can conflict.
	err = s.db.UpdateFor(ctx, u.cause, func(ctx context.Context, tx *db.Tx) error {
		if err := u.Apply(ctx, tx); err != nil {
			return err
		}
		r, err = record(tx.Rx, from.App, name{collection, key})
		return err
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Delete deletes a key for a person, as Put stores one; NotFound when there is none.
func (s *Store) Delete(ctx context.Context, from cloud.Origin, collection, key string) error {
	n := name{collection, key}
	if err := n.check(); err != nil {
		return err
	}
	u := s.begin(cloud.NewID[cloud.ExecutionID](), from, cloud.Limits{}, nil)
	u.now = true
	if err := u.stage(change{name: n, kind: remove}); err != nil {
		return err
	}
	return s.db.UpdateFor(ctx, u.cause, func(ctx context.Context, tx *db.Tx) error {
		if _, err := record(tx.Rx, from.App, n); err != nil {
			return err
		}
		return u.Apply(ctx, tx)
	})
}
