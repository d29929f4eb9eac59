package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// setBack is by how much a clock that is right must be earlier than it was for schedules to
// begin anew at the earlier time. Less is waited for, so that no tick comes twice.
const setBack = time.Hour

// slewed is by how much a clock may go back without meaning anything.
const slewed = 5 * time.Second

// clock decides whether schedules may go by the time: a machine without a battery starts
// in the past, and jumps when it hears of the true time.
type clock struct {
	synced func() (synced, known bool) // by a time server, where the machine tells; nil: it never does
	wait   time.Duration               // how long to wait for that; 0: always go by the time
	floor  time.Time                   // before any true time

	mu     sync.Mutex // guards what follows
	newest time.Time  // known to be over, when it was not a mistake
	began  time.Time  // with its monotonic reading: when the wait began
	over   bool       // the wait
	why    string     // schedules hold; "": they don't

	showed time.Time // by the last look
	looked time.Time // when that was, with its monotonic reading
	set    bool      // somebody set it back while the instance ran, to a time that can be true; counts where no time server tells
}

// wasSet finds out whether the clock was set back since the last look: it went another way
// than time did. Who sets it is believed, until it shows a time that can't be.
func (c *clock) wasSet(now time.Time) {
	at := time.Now()
	if !c.looked.IsZero() && now.Sub(c.showed)-at.Sub(c.looked) < -setBack {
		c.set = true
	}
	c.set = c.set && !now.Before(c.floor)
	c.showed, c.looked = now, at
}

// look takes the time at now and says whether schedules must hold. back reports that the
// clock was right to go back by much, and schedules begin anew.
func (c *clock) look(now time.Time) (hold, back bool) {
	now = now.Round(0) // by what it shows: two readings of one process compare by the time between them
	c.mu.Lock()
	defer c.mu.Unlock()
	synced, known := false, false
	if c.synced != nil {
		synced, known = c.synced()
	}
	if c.began.IsZero() {
		c.began = time.Now()
	}
	waited := time.Since(c.began) >= c.wait
	c.over = c.over || synced || !known || waited
	c.wasSet(now)
	trusted := c.wait == 0 || synced || !known && c.set
	switch early := c.newest.Sub(now); {
	case !trusted && now.Before(c.floor):
		c.why = "the clock is in the past: schedules hold until it is set, by you or by a time server"
	case !trusted && early > slewed && (known || early <= setBack || !waited): // where no time server will ever tell, the data may be wrong as well
		c.why = fmt.Sprintf("the clock is before %s, which is in the data already: schedules hold until it is set, by you or by a time server", cloud.TimeOf(c.newest))
	case !trusted && !c.over:
		c.why = fmt.Sprintf("the clock is not synchronised yet: schedules hold for at most %v", c.wait)
	default:
		c.why = ""
		back = early > setBack
	}
	if c.why == "" && (back || now.After(c.newest)) {
		c.newest = now
	}
	return c.why != "", back
}

// warning says why schedules hold, "" when they don't.
func (c *clock) warning() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.why
}

// newestTime is the newest time that the file knows to be over.
func newestTime(rx *db.Rx) (time.Time, error) {
	var newest sql.NullInt64
	err := rx.QueryRow(`
		SELECT max(at) FROM (
			SELECT max(created_at) AS at FROM (SELECT created_at FROM outbox ORDER BY n DESC LIMIT 1)
			UNION ALL SELECT max(at) FROM (SELECT at FROM audit ORDER BY id DESC LIMIT 1)
			UNION ALL SELECT max(created_at) FROM dead_letters
			UNION ALL SELECT max(created_at) FROM abandoned_executions
			UNION ALL SELECT max(last_used_at) FROM sessions
			UNION ALL SELECT max(updated_at) FROM triggers
			UNION ALL SELECT max(last_at) FROM cron_trigger_details)`).Scan(&newest)
	if err != nil || !newest.Valid {
		return time.Time{}, err
	}
	return cloud.Time(newest.Int64).Time(), nil
}

// remember reads the newest time of the file, once.
func (c *clock) remember(ctx context.Context, d *db.DB) error {
	return d.View(ctx, func(_ context.Context, rx *db.Rx) error {
		newest, err := newestTime(rx)
		if err != nil {
			return fmt.Errorf("look for the newest time: %w", err)
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.newest = newest
		return nil
	})
}

// ClockWarning says why schedules hold, for GET /system; "" when they don't.
func (o *Outbox) ClockWarning() string { return o.cron.clock.warning() }
