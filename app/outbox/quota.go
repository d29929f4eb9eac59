package outbox

import (
	"fmt"
	"sync"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// quotas hold an app to what it may run at once and in a minute. A caller over them is
// refused with RateLimited; rows wait in the outbox until there is room again.
type quotas struct {
	of func(cloud.AppID) cloud.Quotas // nil: nobody has any

	mu   sync.Mutex // guards apps
	apps map[cloud.AppID]*usage
}

// usage is what an app with a quota on executions runs.
type usage struct {
	running int64
	minute  cloud.Time // when the minute that is counted began
	begun   int64      // executions in it
}

func (q *quotas) quotaOf(app cloud.AppID) (cloud.Quotas, bool) {
	if q.of == nil {
		return cloud.Quotas{}, false
	}
	x := q.of(app)
	return x, x.ConcurrentExecutions > 0 || x.ExecutionsPerMinute > 0
}

// begin counts an execution for a caller, or refuses it. counted: end must follow.
func (q *quotas) begin(app cloud.AppID, now cloud.Time) (counted bool, err error) {
	quota, ok := q.quotaOf(app)
	if !ok {
		return false, nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.usageLocked(app, now)
	switch {
	case quota.ConcurrentExecutions > 0 && u.running >= quota.ConcurrentExecutions:
		return false, cloud.Errorf(cloud.RateLimited, "the app runs as many executions at once as its quota allows (%d): try again in a moment", quota.ConcurrentExecutions)
	case quota.ExecutionsPerMinute > 0 && u.begun >= quota.ExecutionsPerMinute:
		return false, &rateLimit{
			err:   cloud.Errorf(cloud.RateLimited, "the app has used up its quota of %d executions a minute: try again when the minute is over", quota.ExecutionsPerMinute),
			after: u.minute.Add(time.Minute).Time().Sub(now.Time()),
		}
	}
	u.running++
	u.begun++
	return true, nil
}

// rateLimit is a refusal that says when to come again.
type rateLimit struct {
	err   *cloud.Error
	after time.Duration
}

func (e *rateLimit) Error() string { return e.err.Error() }

func (e *rateLimit) Unwrap() error { return e.err }

// RetryAfter is how long the quota stays used up; web answers it.
func (e *rateLimit) RetryAfter() time.Duration { return e.after }

// count is begin for a claimed row, whose room was looked up before the claim.
func (q *quotas) count(app cloud.AppID, now cloud.Time) (counted bool) {
	if _, ok := q.quotaOf(app); !ok {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.usageLocked(app, now)
	u.running++
	u.begun++
	return true
}

func (q *quotas) end(app cloud.AppID) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if u := q.apps[app]; u != nil {
		u.running--
	}
}

// room is how many more executions of app may begin, at most most. When none may because of
// the minute, until is the end of it.
func (q *quotas) room(app cloud.AppID, now cloud.Time, most int) (room int, until cloud.Time) {
	quota, ok := q.quotaOf(app)
	if !ok {
		return most, 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	u := q.usageLocked(app, now)
	left := int64(most)
	if quota.ConcurrentExecutions > 0 {
		left = min(left, quota.ConcurrentExecutions-u.running)
	}
	if quota.ExecutionsPerMinute > 0 && u.begun >= quota.ExecutionsPerMinute {
		return 0, u.minute.Add(time.Minute)
	}
	if quota.ExecutionsPerMinute > 0 {
		left = min(left, quota.ExecutionsPerMinute-u.begun)
	}
	return int(max(left, 0)), 0
}

// usageLocked is the app's usage in the minute of now. Apps that rest are forgotten when
// there are many.
func (q *quotas) usageLocked(app cloud.AppID, now cloud.Time) *usage {
	if q.apps == nil {
		q.apps = map[cloud.AppID]*usage{}
	}
	over := func(u *usage) bool { return now < u.minute || now >= u.minute.Add(time.Minute) }
	u := q.apps[app]
	if u == nil {
		if len(q.apps) >= 1024 {
			for id, x := range q.apps {
				if x.running == 0 && over(x) {
					delete(q.apps, id)
				}
			}
		}
		u = &usage{minute: now}
		q.apps[app] = u
	}
	if over(u) {
		u.minute, u.begun = now, 0
	}
	return u
}

// checkRows refuses a row more than the app's quota, with the error that kind says.
func (q *quotas) checkRows(tx *db.Tx, app cloud.AppID, kind cloud.Kind) error {
	if q.of == nil {
		return nil
	}
	most := q.of(app).OutboxRows
	if most <= 0 {
		return nil
	}
	var n int64
	err := tx.QueryRow("SELECT count(*) FROM (SELECT 1 FROM outbox WHERE app_id = ? LIMIT ?)", app, most).Scan(&n)
	switch {
	case err != nil:
		return fmt.Errorf("count outbox rows: %w", err)
	case n >= most:
		return cloud.Errorf(kind, "the app's outbox holds as many rows as its quota allows (%d): wait until some are done, or raise the quota", most)
	}
	return nil
}
