package executor

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"picloud/db"
)

// logSize is what the log holds. It is counted once, then kept up to date.
type logSize struct{ rows, bytes int64 } // rows -1: not counted yet

func (s *logSize) add(rows, bytes int64) {
	if s.rows >= 0 {
		s.rows += rows
		s.bytes += bytes
	}
}

// trimBatch is how many records one transaction deletes.
const trimBatch = 500

// trim deletes the oldest records until the log is within its caps.
func (l *Log) trim(ctx context.Context) {
	for {
		more, err := l.trimStep(ctx)
		if err != nil {
			l.warn("execution log can't be trimmed", err)
		}
		if !more || err != nil || ctx.Err() != nil {
			return
		}
	}
}

// trimStep deletes one batch and says whether there is more to delete.
func (l *Log) trimStep(ctx context.Context) (more bool, err error) {
	l.readMu.Lock()
	defer l.readMu.Unlock()
	if err := l.count(ctx); err != nil {
		return false, err
	}
	rows, bytes, err := l.deleteOld(ctx, l.excess())
	if err != nil {
		return false, err
	}
	l.kept.add(-rows, -bytes)
	return rows > 0 && (rows == trimBatch || l.excess() > 0), nil
}

// count fills in kept once.
func (l *Log) count(ctx context.Context) error {
	if l.kept.rows >= 0 {
		return nil
	}
	return l.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
		return rx.QueryRow(`SELECT count(*), coalesce(sum(bytes), 0) FROM executions`).Scan(&l.kept.rows, &l.kept.bytes)
	})
}

// excess is how many records, at most a batch, have to go for the caps on rows and bytes.
func (l *Log) excess() int64 {
	n := max(l.kept.rows-l.o.MaxRows, 0)
	if over := l.kept.bytes - l.o.MaxBytes; over > 0 && l.kept.rows > 0 {
		average := max(l.kept.bytes/l.kept.rows, 1)
		n = max(n, over/average+1)
	}
	return min(n, trimBatch)
}

// deleteOld deletes the n oldest records, and a batch of those that are too old anyway. Ids
// are in the order of time, so the primary key finds both. Those before Epoch are the oldest
// by their ids, and too old never.
func (l *Log) deleteOld(ctx context.Context, n int64) (rows, bytes int64, err error) {
	epoch, tooOld := firstID(l.o.Epoch), firstID(l.o.Now().Add(-l.o.MaxAge))
	if !l.o.Settled() {
		tooOld = epoch
	}
	err = l.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
		rows, bytes = 0, 0
		if err := deleteReturning(tx, epoch, tooOld, trimBatch, &rows, &bytes); err != nil || n <= rows {
			return err
		}
		return deleteReturning(tx, firstID(time.Time{}), aboveAll, n-rows, &rows, &bytes)
	})
	return rows, bytes, err
}

// aboveAll is beyond every id.
var aboveAll = bytes.Repeat([]byte{0xff}, 17)

// firstID is below every UUIDv7 made at t or later.
func firstID(t time.Time) []byte {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(max(t.UnixMilli(), 0))<<16)
	return id[:]
}

// deleteReturning deletes the oldest records from an id to below another, at most so many, and
// adds up what they were.
func deleteReturning(tx *db.Tx, from, below []byte, most int64, rows, bytes *int64) error {
	deleted, err := tx.Query(`DELETE FROM executions WHERE id IN (SELECT id FROM executions WHERE id >= ? AND id < ? ORDER BY id LIMIT ?) RETURNING bytes`, from, below, most)
	if err != nil {
		return fmt.Errorf("delete old executions: %w", err)
	}
	defer deleted.Close()
	for deleted.Next() {
		var size int64
		if err := deleted.Scan(&size); err != nil {
			return err
		}
		*rows, *bytes = *rows+1, *bytes+size
	}
	return deleted.Err()
}
