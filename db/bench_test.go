package db_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"picloud/db"
	"picloud/db/dbtest"
)

// The work of one closure: what a script's write with one trigger costs. Run with
//
//	go test ./db -run '^$' -bench . -cpu 2
//	CGO_ENABLED=1 go test -tags mattn ./db -run '^$' -bench . -cpu 2
const (
	upsertKey = `
		INSERT INTO kv_entries (app_id, collection, key, value, created_at, updated_at)
		VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (app_id, collection, key) DO UPDATE
		SET value = excluded.value, updated_at = excluded.updated_at, expires_at = NULL`
	insertRow = `
		INSERT INTO outbox (id, app_id, source, op, payload, trigger_depth, root_execution_id,
			retry_max_attempts, retry_backoff, retry_base_ms, next_attempt_at, created_at)
		VALUES (?, ?, 'kv', 'insert', ?, 1, ?, 3, 'exponential', 1000, ?, ?)`
	selectKey = "SELECT value FROM kv_entries WHERE app_id = ? AND collection = ? AND key = ?"
)

var (
	benchApp   = make([]byte, 16)
	benchValue = `{"name":"Ada","email":"ada@example.com","tags":["a","b","c"],"n":12345}`
)

func addApp(tb testing.TB, d *db.DB) {
	tb.Helper()
	update(tb, d, "INSERT INTO apps (id, slug, name, created_at, updated_at) VALUES (?, 'a', 'A', 0, 0)", benchApp)
}

func update(tb testing.TB, d *db.DB, query string, args ...any) {
	tb.Helper()
	err := d.Update(tb.Context(), func(_ context.Context, tx *db.Tx) error {
		_, err := tx.Exec(query, args...)
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
}

var rowNumber atomic.Uint64

func upsertAndEnqueue(_ context.Context, tx *db.Tx) error {
	n := rowNumber.Add(1)
	id := binary.BigEndian.AppendUint64(make([]byte, 8, 16), n)
	now := tx.Now.UnixMilli()
	key := fmt.Sprintf("key-%d", n%10_000)
	if _, err := tx.Exec(upsertKey, benchApp, "users", key, benchValue, now, now); err != nil {
		return err
	}
	_, err := tx.Exec(insertRow, id, benchApp, benchValue, id, now, now)
	return err
}

func durability(level db.Durability) func(*db.Options) {
	return func(o *db.Options) { o.Durability = level }
}

// BenchmarkUpdate is the group commit; "mutex" has one transaction per closure instead, the
// callers taking turns.
func BenchmarkUpdate(b *testing.B) {
	for _, level := range []db.Durability{db.Relaxed, db.Full} {
		for _, writers := range []int{1, 8, 32, 128} {
			for _, turns := range []string{"group", "mutex"} {
				if writers == 1 && turns == "mutex" {
					continue
				}
				b.Run(fmt.Sprintf("%s/%d/%s", level, writers, turns), func(b *testing.B) {
					benchmarkUpdate(b, level, writers, turns == "mutex")
				})
			}
		}
	}
}

func benchmarkUpdate(b *testing.B, level db.Durability, writers int, alone bool) {
	var commits atomic.Int64
	d := dbtest.Open(b, durability(level), func(o *db.Options) {
		o.Observe = func(db.CommitStats) { commits.Add(1) }
	})
	addApp(b, d)
	commits.Store(0)
	var turn sync.Mutex
	var left atomic.Int64
	left.Store(int64(b.N))
	var all sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range writers {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				if alone {
					turn.Lock()
				}
				if err := d.Update(b.Context(), upsertAndEnqueue); err != nil {
					b.Error(err)
				}
				if alone {
					turn.Unlock()
				}
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/float64(commits.Load()), "closures/commit")
}

func BenchmarkRead(b *testing.B) {
	d := dbtest.Open(b)
	addApp(b, d)
	for range 10_000 {
		if err := d.Update(b.Context(), upsertAndEnqueue); err != nil {
			b.Fatal(err)
		}
	}
	read := func(rx *db.Rx) error {
		var value string
		return rx.QueryRow(selectKey, benchApp, "users", "key-77").Scan(&value)
	}
	b.Run("point in a pinned snapshot", func(b *testing.B) {
		s, err := d.Snapshot(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		b.ReportAllocs()
		for b.Loop() {
			if err := read(s.Rx); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("snapshot and a point", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s, err := d.Snapshot(b.Context())
			if err != nil {
				b.Fatal(err)
			}
			if err := read(s.Rx); err != nil {
				b.Fatal(err)
			}
			s.Close()
		}
	})
	b.Run("view of a point", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			err := d.View(b.Context(), func(_ context.Context, rx *db.Rx) error { return read(rx) })
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	for b.Loop() {
		if err := dbtest.Open(b).Close(); err != nil {
			b.Fatal(err)
		}
	}
}
