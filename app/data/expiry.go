package data

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

const (
	sweepRows  = 100              // entries that one step deletes
	sweepBytes = 4 << 20          // or until their values are this long together
	maxSleep   = 30 * time.Second // how long a jump of the clock can go unnoticed
	retrySleep = 5 * time.Second  // after a step that failed or found nothing in spite of the clock
)

// expiry knows when the next entry expires.
type expiry struct {
	wake chan struct{} // capacity 1: next is earlier than it was

	mu   sync.Mutex // guards next
	next cloud.Time // 0: no entry expires
}

func (e *expiry) get() cloud.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.next
}

func (e *expiry) set(t cloud.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.next = t
}

func (e *expiry) note(t cloud.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.next != 0 && e.next <= t {
		return
	}
	e.next = t
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// Serve deletes expired entries, with their events, when they are due. It returns when ctx
// ends.
func (s *Store) Serve(ctx context.Context) error {
	failed := false
	for {
		for s.doubtful() {
			if !wait(ctx, maxSleep, nil) {
				return nil
			}
		}
		deleted, err := s.step(ctx)
		if ctx.Err() != nil {
			return nil
		}
		pause := time.Duration(0)
		if err != nil {
			if !failed { // else it was said
				s.log.Error("expired entries can't be deleted; they can't be seen either, and it is tried again until it works", "err", err)
			}
			pause = retrySleep
		} else if deleted == 0 && s.due() {
			pause = retrySleep
		}
		failed = err != nil
		if !s.sleep(ctx, pause) {
			return nil
		}
	}
}

// doubtful reports that the clock has jumped ahead and may be set back: then nothing is
// deleted for good.
func (s *Store) doubtful() bool {
	steady, jumped := s.steady.For(time.Now())
	if !jumped || steady >= s.wait || s.synced == nil {
		return false
	}
	synced, _ := s.synced()
	return !synced
}

func (s *Store) due() bool {
	next := s.expiry.get()
	return next != 0 && !time.Now().Before(next.Time())
}

// sleep waits for least and then until an entry is due; false when ctx ended.
func (s *Store) sleep(ctx context.Context, least time.Duration) bool {
	if least > 0 && !wait(ctx, least, nil) {
		return false
	}
	for !s.due() {
		next := s.expiry.get()
		if next == 0 {
			select {
			case <-ctx.Done():
				return false
			case <-s.expiry.wake:
			}
			continue
		}
		if !wait(ctx, min(time.Until(next.Time()), maxSleep), s.expiry.wake) {
			return false
		}
	}
	return ctx.Err() == nil
}

// wait waits for d or for wake; false when ctx ended.
func wait(ctx context.Context, d time.Duration, wake <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
	case <-wake:
	}
	return true
}

// step deletes the entries that expired first, up to a bound, and notes when the next one
// does. A power cut may undo it, together with its events: then they are due again.
func (s *Store) step(ctx context.Context) (deleted int, err error) {
	err = s.db.UpdateLazy(ctx, func(ctx context.Context, tx *db.Tx) error {
		deleted, err = s.sweep(ctx, tx)
		if err != nil {
			return err
		}
		next, err := nextExpiry(tx.Rx)
		if err != nil {
			return err
		}
		tx.AfterCommit(func() { s.expiry.set(next) })
		return nil
	})
	return deleted, err
}

func (s *Store) sweep(ctx context.Context, tx *db.Tx) (int, error) {
	due, err := expired(tx.Rx)
	if err != nil {
		return 0, err
	}
	apps := map[cloud.AppID]*writing{}
	for _, e := range due {
		tx.CountFor(db.Cause{App: e.app}, int64(len(e.key)+len(e.value)))
		w := apps[e.app]
		if w == nil {
			w = &writing{s: s, tx: tx, from: cloud.Origin{App: e.app}, now: cloud.TimeOf(tx.Now)}
			apps[e.app] = w
		}
		if err := w.delete(ctx, e.name, e.value); err != nil {
			return 0, err
		}
	}
	for _, w := range apps {
		if err := w.finish(nil); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}

type expiredEntry struct {
	app cloud.AppID
	name
	value json.RawMessage
}

func expired(rx *db.Rx) (due []expiredEntry, err error) {
	rows, err := rx.Query(`SELECT app_id, collection, key, value FROM kv_entries
		WHERE expires_at <= ? ORDER BY expires_at LIMIT ?`, cloud.TimeOf(rx.Now), sweepRows)
	if err != nil {
		return nil, fmt.Errorf("find expired entries: %w", err)
	}
	defer rows.Close()
	bytes := 0
	for bytes < sweepBytes && rows.Next() {
		var e expiredEntry
		if err := rows.Scan(&e.app, &e.collection, &e.key, (*[]byte)(&e.value)); err != nil {
			return nil, fmt.Errorf("find expired entries: %w", err)
		}
		bytes += len(e.value)
		due = append(due, e)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("find expired entries: %w", err)
	}
	return due, nil
}

// nextExpiry is when the next entry expires, 0 when none does.
func nextExpiry(rx *db.Rx) (t cloud.Time, err error) {
	err = rx.QueryRow(`SELECT COALESCE(MIN(expires_at), 0) FROM kv_entries WHERE expires_at IS NOT NULL`).Scan(&t)
	if err != nil {
		return 0, fmt.Errorf("find the next expiry: %w", err)
	}
	return t, nil
}
