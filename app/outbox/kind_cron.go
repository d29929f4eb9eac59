package outbox

import (
	"cmp"
	"database/sql"
	"fmt"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// kindCron fires by the clock: see cron.go. No event matches it.
var kindCron = &kind{
	name:  cloud.SourceCron,
	check: checkCron,
	patch: patchCron,
	store: storeCron,
	load:  loadCron,
	match: func(*cloud.Trigger, *event) bool { return false },
}

// What becomes of ticks that were missed, that is, which are more than the trigger's most
// lateness late.
const (
	catchUpNone = "none" // they are skipped
	catchUpLast = "last" // the newest one runs
	catchUpAll  = "all"  // they run, the newest maxCatchUp at most
)

// Bounds of cron triggers.
const (
	maxCatchUp      = 1000
	maxLateness     = 7 * 24 * 60 * 60 // seconds
	defaultLateness = 60               // seconds
)

func checkCron(t *cloud.Trigger) error {
	if t.Cron == nil {
		return cloud.Errorf(cloud.Invalid, "a cron trigger needs a schedule")
	}
	f := *t.Cron
	f.Timezone = cmp.Or(f.Timezone, "UTC")
	f.CatchUp = cmp.Or(f.CatchUp, catchUpNone)
	f.MaxLatenessSeconds = cmp.Or(f.MaxLatenessSeconds, defaultLateness)
	switch f.CatchUp {
	case catchUpNone, catchUpLast, catchUpAll:
	default:
		return cloud.Errorf(cloud.Invalid, "catch_up is %q: write none, last or all", f.CatchUp)
	}
	if n := f.MaxLatenessSeconds; n < 1 || n > maxLateness {
		return cloud.Errorf(cloud.Invalid, "max_lateness_seconds is %d: want 1 to %d", n, maxLateness)
	}
	if _, err := parseSchedule(f.Schedule, f.Timezone); err != nil {
		return err
	}
	t.Cron = &f
	return nil
}

// CronPatch changes a cloud.CronFilter.
type CronPatch struct {
	Schedule           *string `json:"schedule"`
	Timezone           *string `json:"timezone"`
	CatchUp            *string `json:"catch_up"`
	MaxLatenessSeconds *int    `json:"max_lateness_seconds"`
}

func patchCron(t *cloud.Trigger, p *FilterPatch) {
	f, own := *t.Cron, take(&p.CronPatch)
	set(&f.Schedule, own.Schedule)
	set(&f.Timezone, own.Timezone)
	set(&f.CatchUp, own.CatchUp)
	set(&f.MaxLatenessSeconds, own.MaxLatenessSeconds)
	t.Cron = &f
}

// storeCron begins the schedule at the time of tx when it is new, changed or enabled again:
// what came before is not caught up.
func storeCron(tx *db.Tx, t *cloud.Trigger) error {
	f := t.Cron
	was := cloud.CronFilter{}
	err := tx.QueryRow(`SELECT schedule, timezone, coalesce(next_at, 0) FROM cron_trigger_details WHERE trigger_id = ?`, t.ID).
		Scan(&was.Schedule, &was.Timezone, (*int64)(&was.NextAt))
	if err != nil && err != sql.ErrNoRows {
		return fmt.Errorf("load cron trigger %s: %w", t.ID, err)
	}
	switch {
	case !t.Enabled:
		f.NextAt = 0
	case was.NextAt != 0 && was.Schedule == f.Schedule && was.Timezone == f.Timezone:
		f.NextAt = was.NextAt
	default:
		if f.NextAt, err = firstTick(f, tx.Now); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`
		INSERT INTO cron_trigger_details (trigger_id, schedule, timezone, catch_up, max_lateness_seconds, next_at) VALUES (?, ?, ?, ?, ?, ?)
		ON CONFLICT (trigger_id) DO UPDATE SET schedule = excluded.schedule, timezone = excluded.timezone, catch_up = excluded.catch_up,
			max_lateness_seconds = excluded.max_lateness_seconds, next_at = excluded.next_at`,
		t.ID, f.Schedule, f.Timezone, f.CatchUp, f.MaxLatenessSeconds, nullTime(f.NextAt))
	if err != nil {
		return fmt.Errorf("store cron trigger: %w", err)
	}
	return nil
}

// nullTime is a time for a column that is NULL when there is none.
func nullTime(t cloud.Time) sql.NullInt64 { return sql.NullInt64{Int64: int64(t), Valid: t != 0} }

// firstTick is the first tick after now.
func firstTick(f *cloud.CronFilter, now time.Time) (cloud.Time, error) {
	s, err := parseSchedule(f.Schedule, f.Timezone)
	if err != nil {
		return 0, err
	}
	return tickTime(s.next(now)), nil
}

// tickTime is a tick as it is stored; zero when there is none.
func tickTime(t time.Time) cloud.Time {
	if t.IsZero() {
		return 0
	}
	return cloud.TimeOf(t)
}

func loadCron(rx *db.Rx, t *cloud.Trigger) error {
	f := &cloud.CronFilter{}
	err := rx.QueryRow(`
		SELECT schedule, timezone, catch_up, max_lateness_seconds, coalesce(next_at, 0) FROM cron_trigger_details WHERE trigger_id = ?`, t.ID).
		Scan(&f.Schedule, &f.Timezone, &f.CatchUp, &f.MaxLatenessSeconds, (*int64)(&f.NextAt))
	if err != nil {
		return fmt.Errorf("load cron trigger %s: %w", t.ID, err)
	}
	t.Cron = f
	return nil
}

// NextRuns lists the next n ticks of a cron trigger, none while it is disabled.
func NextRuns(f *cloud.CronFilter, n int) []cloud.Time {
	runs := []cloud.Time{}
	s, err := parseSchedule(f.Schedule, f.Timezone)
	if err != nil || f.NextAt == 0 {
		return runs // a zone that this system's database doesn't know any more
	}
	for t := f.NextAt.Time(); !t.IsZero() && len(runs) < n; t = s.next(t) {
		runs = append(runs, cloud.TimeOf(t))
	}
	return runs
}
