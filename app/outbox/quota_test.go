package outbox

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

func withQuota(q cloud.Quotas) func(*Options) {
	return func(o *Options) { o.Quota = func(cloud.AppID) cloud.Quotas { return q } }
}

func TestQuotaOfConcurrentExecutions(t *testing.T) {
	t.Parallel()
	b := open(t, withQuota(cloud.Quotas{ConcurrentExecutions: 1}))
	var inner *cloud.Result
	second := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) })
	first := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		inner = b.Do(t.Context(), b.invocation(second))
		return ok(nil)
	})
	if res := b.Do(t.Context(), b.invocation(first)); res.StatusCode != 200 {
		t.Errorf("first: got %d (%v), want 200", res.StatusCode, res.Err)
	}
	if inner.StatusCode != 429 || cloud.KindOf(inner.Err) != cloud.RateLimited {
		t.Errorf("second at once: got %d (%v), want 429", inner.StatusCode, inner.Err)
	}
	if res := b.Do(t.Context(), b.invocation(second)); res.StatusCode != 200 {
		t.Errorf("second afterwards: got %d (%v), want 200", res.StatusCode, res.Err)
	}
}

// Callers over the minute's quota are refused; rows wait for the next minute, and none is lost.
func TestQuotaOfExecutionsPerMinute(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := open(t, withQuota(cloud.Quotas{ExecutionsPerMinute: 2}))
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		defer b.serve()()
		for range 5 {
			if err := b.Submit(t.Context(), b.invocation(s)); err != nil {
				t.Fatal(err)
			}
		}
		for minute, want := range []int{2, 4, 5} {
			time.Sleep(time.Second)
			synctest.Wait()
			if got := b.counted("n"); got != want {
				t.Errorf("in minute %d: %d rows ran, want %d", minute, got, want)
			}
			if minute == 0 {
				res := b.Do(t.Context(), b.invocation(s))
				var later interface{ RetryAfter() time.Duration }
				if res.StatusCode != 429 || !errors.As(res.Err, &later) || later.RetryAfter() != 59*time.Second {
					t.Errorf("a caller over the quota: got %d (%v), want 429 and the rest of the minute", res.StatusCode, res.Err)
				}
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestQuotaOfRows(t *testing.T) {
	t.Parallel()
	b := open(t, withQuota(cloud.Quotas{OutboxRows: 2}))
	s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) })
	for i, want := range []cloud.Kind{"", "", cloud.RateLimited} {
		if err := b.Submit(t.Context(), b.invocation(s)); cloud.KindOf(err) != want {
			t.Errorf("submit %d: got %v, want kind %q", i, err, want)
		}
	}
	b.kvTrigger(s)
	err := b.d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		return b.Emit(t.Context(), tx, cloud.Origin{App: b.app}, kvEvent("k"))
	})
	if cloud.KindOf(err) != cloud.BudgetExceeded {
		t.Errorf("emit: got %v, want budget_exceeded", err)
	}
}
