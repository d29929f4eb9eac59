package data

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/schema"
)

// inBubble runs f with fake time and a store whose Serve runs. The database is opened inside
// the bubble, so that its clock and goroutines are the bubble's.
func inBubble(t *testing.T, f func(t *testing.T, r *rig)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "picloud.db")
	synctest.Test(t, func(t *testing.T) {
		d, err := db.Open(t.Context(), path, db.Options{Schema: schema.State, Durability: db.Relaxed})
		if err != nil {
			t.Fatal(err)
		}
		r := &rig{TB: t, db: d, out: &recorder{}}
		r.Store = New(d, r.out, Options{})
		r.app = r.addApp("one")
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error)
		go func() { served <- r.Serve(ctx) }()
		f(t, r)
		cancel()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (r *rig) setFor(ttl time.Duration, keys ...string) {
	r.Helper()
	u := r.begin1()
	for _, k := range keys {
		if err := u.Set(u.ctx, "c", k, json.RawMessage(`1`), ttl); err != nil {
			r.Fatal(err)
		}
	}
	r.mustCommit(u)
	r.out.take()
}

func deleted(key string) string {
	return fmt.Sprintf(`delete c {"source":"kv","op":"delete","kv":{"collection":"c","key":%q,"oldValue":1}}`, key)
}

func TestExpiredEntriesAreDeletedWhenTheyAreDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.setFor(time.Hour, "hour")
		r.setFor(time.Minute, "minute") // earlier than what Serve waits for
		r.setFor(0, "ever")
		time.Sleep(time.Minute - time.Millisecond)
		synctest.Wait()
		wantEvents(t, r.out)
		time.Sleep(time.Millisecond)
		synctest.Wait()
		wantEvents(t, r.out, deleted("minute"))
		time.Sleep(59 * time.Minute)
		synctest.Wait()
		wantEvents(t, r.out, deleted("hour"))
		u := r.begin1()
		if got := u.list("c", ListOptions{}); !slices.Equal(got, []string{"ever"}) {
			t.Errorf("got %v", got)
		}
		u.Close()
		if r.expiry.get() != 0 {
			t.Error("something is still to expire")
		}
	})
}

func TestSweepGoesOnUntilNothingIsDue(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		var keys []string
		for i := range 2*sweepRows + 1 {
			keys = append(keys, fmt.Sprint(i))
		}
		r.setFor(time.Second, keys...)
		time.Sleep(time.Second)
		synctest.Wait()
		if got := len(r.out.take()); got != len(keys) {
			t.Errorf("%d events, want %d", got, len(keys))
		}
	})
}

func TestSetAgainOutlivesTheFirstEnd(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.setFor(time.Second, "k")
		r.setFor(time.Minute, "k")
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		wantEvents(t, r.out)
		time.Sleep(1)
		synctest.Wait()
		wantEvents(t, r.out, deleted("k"))
	})
}

func TestSweepIsAConflictForWhoSawTheEntry(t *testing.T) {
	t.Parallel()
	inBubble(t, func(t *testing.T, r *rig) {
		r.setFor(time.Second, "k")
		u := r.begin1()
		u.increment("c", "k", 1)
		u.reads.until = 0 // as if the clock had been put back since
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if err := r.commit(u); asContended(err) == nil {
			t.Errorf("got %v, want a conflict", err)
		}
	})
}

func TestServeFindsWhatExpiredBeforeItsStart(t *testing.T) {
	t.Parallel()
	now := time.Now().Add(-time.Hour)
	r := newRig(t, Options{}, func(o *db.Options) { o.Now = func() time.Time { return now } })
	r.setFor(time.Minute, "k")
	now = now.Add(time.Hour)
	deleted, err := r.step(t.Context())
	if err != nil || deleted != 1 {
		t.Fatalf("deleted %d, %v", deleted, err)
	}
	if n, err := r.Bytes(t.Context(), r.app); err != nil || n != 0 {
		t.Errorf("%d bytes are left, %v", n, err)
	}
	if e := r.out.from[len(r.out.from)-1]; e != (cloud.Origin{App: r.app}) {
		t.Errorf("the event comes from %+v, want a new chain", e)
	}
}
