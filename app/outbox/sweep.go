package outbox

import (
	"context"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// sweepBatch is how many rows one transaction of a sweep deletes.
const sweepBatch = 500

// serveSweeps deletes what is past its retention: at the start and then every
// Options.SweepEvery. What is due follows from the rows' own times, so a process that
// restarts more often than that misses nothing and needs no memory of the last sweep. While
// the clock may be wrong, it waits.
func (o *Outbox) serveSweeps(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		if !o.ClockSettled() {
			timer.Reset(max(o.o.ClockWait, time.Second))
			continue
		}
		timer.Reset(o.o.SweepEvery)
		if n, err := o.sweep(ctx); err != nil && ctx.Err() == nil {
			o.log.Error("sweep", "err", err)
		} else if n > 0 {
			o.log.Info("swept what was past its retention", "rows", n)
		}
	}
}

// ClockSettled reports that what is old by the clock may be deleted for good: a time server
// has set it, or it has gone on without a jump ahead for Options.ClockWait.
func (o *Outbox) ClockSettled() bool {
	d, _ := o.steady.For(o.o.Now())
	if d >= o.o.ClockWait || o.o.Synced == nil {
		return true
	}
	synced, _ := o.o.Synced()
	return synced
}

// dateAnew gives letters and abandoned executions of a clock in the past, as of a machine
// without a battery until it hears of the time, the present one: how old they are is unknown,
// and they are kept as long as if they were made now.
func (o *Outbox) dateAnew(ctx context.Context) error {
	now := o.o.Now()
	if now.Before(o.o.Epoch) {
		return nil
	}
	for some, dateSome := range map[string]string{
		`SELECT EXISTS (SELECT 1 FROM dead_letters WHERE created_at < ?)`:         `UPDATE dead_letters SET created_at = ? WHERE created_at < ?`,
		`SELECT EXISTS (SELECT 1 FROM abandoned_executions WHERE created_at < ?)`: `UPDATE abandoned_executions SET created_at = ? WHERE created_at < ?`,
	} {
		var any bool
		err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
			return rx.QueryRow(some, o.o.Epoch.UnixMilli()).Scan(&any)
		})
		if err == nil && any {
			err = o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
				_, err := tx.Exec(dateSome, now.UnixMilli(), o.o.Epoch.UnixMilli())
				return err
			})
		}
		if err != nil {
			return fmt.Errorf("date what was made by a clock in the past: %w", err)
		}
	}
	return nil
}

// sweep deletes dead letters and abandoned executions that were created before their
// retention began, resolved or not, holds of lanes that are over, and deduplication ids
// whose window is.
func (o *Outbox) sweep(ctx context.Context) (int, error) {
	if !o.o.Epoch.IsZero() {
		if err := o.dateAnew(ctx); err != nil {
			return 0, err
		}
	}
	letters, err := o.sweepTable(ctx, o.o.DeadLetterRetention,
		`SELECT EXISTS (SELECT 1 FROM dead_letters WHERE created_at < ?)`,
		`DELETE FROM dead_letters WHERE id IN (SELECT id FROM dead_letters WHERE created_at < ? ORDER BY created_at LIMIT ?)`)
	if err != nil {
		return letters, fmt.Errorf("sweep dead letters: %w", err)
	}
	abandoned, err := o.sweepTable(ctx, o.o.AbandonedRetention,
		`SELECT EXISTS (SELECT 1 FROM abandoned_executions WHERE created_at < ?)`,
		`DELETE FROM abandoned_executions WHERE id IN (SELECT id FROM abandoned_executions WHERE created_at < ? ORDER BY created_at LIMIT ?)`)
	if err != nil {
		return letters + abandoned, fmt.Errorf("sweep abandoned executions: %w", err)
	}
	holds, err := o.sweepTable(ctx, 0,
		`SELECT EXISTS (SELECT 1 FROM held_lanes WHERE paused = 0 AND not_before < ?)`,
		`DELETE FROM held_lanes WHERE (app_id, lane) IN (SELECT app_id, lane FROM held_lanes WHERE paused = 0 AND not_before < ? LIMIT ?)`)
	if err != nil {
		return letters + abandoned, fmt.Errorf("sweep held lanes: %w", err)
	}
	known, err := o.sweepTable(ctx, 0,
		`SELECT EXISTS (SELECT 1 FROM queue_deduplication WHERE expires_at < ?)`,
		`DELETE FROM queue_deduplication WHERE (app_id, queue, deduplication_id) IN
			(SELECT app_id, queue, deduplication_id FROM queue_deduplication WHERE expires_at < ? ORDER BY expires_at LIMIT ?)`)
	if err != nil {
		return letters + abandoned + holds, fmt.Errorf("sweep deduplication ids: %w", err)
	}
	return letters + abandoned + holds + known, nil
}

// sweepTable deletes in batches, between which others get their turn. It begins no write
// transaction when there is nothing to delete.
func (o *Outbox) sweepTable(ctx context.Context, retention time.Duration, some, deleteSome string) (total int, err error) {
	for {
		var before cloud.Time
		var any bool
		err := o.db.View(ctx, func(_ context.Context, rx *db.Rx) error {
			before = cloud.TimeOf(rx.Now.Add(-retention))
			return rx.QueryRow(some, int64(before)).Scan(&any)
		})
		if err != nil || !any {
			return total, err
		}
		var n int64
		err = o.db.UpdateLazy(ctx, func(_ context.Context, tx *db.Tx) error {
			res, err := tx.Exec(deleteSome, int64(before), sweepBatch)
			if err != nil {
				return err
			}
			n, err = res.RowsAffected()
			return err
		})
		if err != nil {
			return total, err
		}
		total += int(n)
	}
}
