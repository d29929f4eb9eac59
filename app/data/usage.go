package data

import (
	"context"
	"fmt"
	"sync"

	"picloud/app/cloud"
	"picloud/db"
)

// usage knows how many bytes the entries of apps take: those of which it was ever asked
// inside the write transaction.
type usage struct {
	mu    sync.Mutex // guards bytes
	bytes map[cloud.AppID]int64
}

func newUsage() *usage { return &usage{bytes: map[cloud.AppID]int64{}} }

func (u *usage) get(app cloud.AppID) (n int64, known bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, known = u.bytes[app]
	return n, known
}

func (u *usage) set(app cloud.AppID, n int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.bytes[app] = n
}

func (u *usage) forget(app cloud.AppID) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.bytes, app)
}

func (u *usage) grow(app cloud.AppID, by int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if n, known := u.bytes[app]; known {
		u.bytes[app] = n + by
	}
}

// checkQuota refuses to grow past the app's quota. Commits of one group don't count each
// other's growth, so the quota can be overshot by as much as one group writes.
func (w *writing) checkQuota() error {
	if w.s.quota == nil || w.grown <= 0 {
		return nil
	}
	app := w.from.App
	most := w.s.quota(app)
	if most <= 0 {
		return nil
	}
	n, known := w.s.usage.get(app)
	if !known {
		all, err := sumBytes(w.tx.Rx, app) // with the growth
		if err != nil {
			return err
		}
		// The growth of earlier closures in the batch is in the sum and finds the app unknown;
		// this one's own and that of later ones is added after.
		n = all - w.grown
		w.tx.AfterCommit(func() { w.s.usage.set(app, n) })
	}
	if n+w.grown > most {
		return cloud.Errorf(cloud.BudgetExceeded,
			"the app's storage quota of %d bytes is used up: delete keys, or ask an operator for more", most)
	}
	return nil
}

// sumBytes counts the bytes of all names and values of an app, expired ones included.
func sumBytes(rx *db.Rx, app cloud.AppID) (n int64, err error) {
	err = rx.QueryRow(`SELECT COALESCE(SUM(octet_length(collection) + octet_length(key) + octet_length(value)), 0)
		FROM kv_entries WHERE app_id = ?`, app).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count an app's bytes: %w", err)
	}
	return n, nil
}

// Bytes is what an app's keys and values take.
func (s *Store) Bytes(ctx context.Context, app cloud.AppID) (n int64, err error) {
	if n, known := s.usage.get(app); known {
		return n, nil
	}
	err = s.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		n, err = sumBytes(rx, app)
		return err
	})
	return n, err
}
