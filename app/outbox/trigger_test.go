package outbox

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"picloud/app/cloud"
	"picloud/db"
)

func never(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) }

func TestTriggerChecks(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	own, foreign := b.script(b.app, never), b.script(b.addApp("other"), never)
	kv := func(change func(*cloud.Trigger)) *cloud.Trigger {
		tr := &cloud.Trigger{AppID: b.app, ScriptID: own, Kind: cloud.SourceKV, RegisteredByPrincipal: b.user, KV: &cloud.KVFilter{CollectionGlob: "*"}}
		change(tr)
		return tr
	}
	tests := []struct {
		name string
		tr   *cloud.Trigger
		kind cloud.Kind
		part string
	}{
		{"good", kv(func(*cloud.Trigger) {}), "", ""},
		{"prefix", kv(func(x *cloud.Trigger) { x.KV.CollectionGlob = "a*" }), "", ""},
		{"empty glob", kv(func(x *cloud.Trigger) { x.KV.CollectionGlob = "" }), cloud.Invalid, "collection_glob"},
		{"star inside", kv(func(x *cloud.Trigger) { x.KV.CollectionGlob = "a*b" }), cloud.Invalid, "at the end only"},
		{"long glob", kv(func(x *cloud.Trigger) { x.KV.CollectionGlob = strings.Repeat("a", 200) }), cloud.Invalid, "at most"},
		{"unknown op", kv(func(x *cloud.Trigger) { x.KV.Ops = []string{"upsert"} }), cloud.Invalid, "upsert"},
		{"no filter", kv(func(x *cloud.Trigger) { x.KV = nil }), cloud.Invalid, "collection_glob"},
		{"unknown kind", kv(func(x *cloud.Trigger) { x.Kind = "smoke" }), cloud.Invalid, "smoke"},
		{"sync", kv(func(x *cloud.Trigger) { x.DispatchMode = cloud.DispatchSync }), cloud.Invalid, "async"},
		{"attempts", kv(func(x *cloud.Trigger) { x.RetryMaxAttempts = 101 }), cloud.Invalid, "retry_max_attempts"},
		{"backoff", kv(func(x *cloud.Trigger) { x.RetryBackoff = "random" }), cloud.Invalid, "retry_backoff"},
		{"base", kv(func(x *cloud.Trigger) { x.RetryBaseMS = -1 }), cloud.Invalid, "retry_base_ms"},
		{"no principal", kv(func(x *cloud.Trigger) { x.RegisteredByPrincipal = cloud.UserID{} }), cloud.Forbidden, "sign in"},
		{"another app's script", kv(func(x *cloud.Trigger) { x.ScriptID = foreign }), cloud.NotFound, "script"},
		{"no script", kv(func(x *cloud.Trigger) { x.ScriptID = cloud.NewID[cloud.ScriptID]() }), cloud.NotFound, "script"},
		{"handlers of handlers", &cloud.Trigger{AppID: b.app, ScriptID: own, Kind: cloud.SourceDeadLetter, RegisteredByPrincipal: b.user,
			DeadLetter: &cloud.DeadLetterFilter{SourceFilter: cloud.SourceDeadLetter}}, cloud.Invalid, "source_filter"},
	}
	for _, tt := range tests {
		err := b.CreateTrigger(t.Context(), tt.tr)
		if cloud.KindOf(err) != tt.kind || err != nil && !strings.Contains(err.Error(), tt.part) {
			t.Errorf("%s: got %v, want %q with %q", tt.name, err, tt.kind, tt.part)
		}
	}
}

func TestTriggerLifecycle(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s := b.script(b.app, never)
	tr := b.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceKV, RetryBaseMS: 5, KV: &cloud.KVFilter{CollectionGlob: "a*", Ops: []string{"insert", "insert"}}})
	got, err := b.Trigger(t.Context(), b.app, tr.ID)
	if err != nil || got.RetryMaxAttempts != 3 || got.RetryBackoff != Exponential || got.RetryBaseMS != 5 || got.DispatchMode != "async" || !slices.Equal(got.KV.Ops, []string{"insert"}) || got.CreatedAt == 0 {
		t.Fatalf("got %+v, %v; want the defaults filled in", got, err)
	}
	_, err = b.Trigger(t.Context(), b.addApp("other"), tr.ID)
	wantError(t, err, cloud.NotFound, "no such trigger")

	off, glob, source := false, "b", "kv"
	if got, err = b.UpdateTrigger(t.Context(), b.app, tr.ID, TriggerPatch{Enabled: &off, FilterPatch: FilterPatch{KVPatch: KVPatch{CollectionGlob: &glob}}}); err != nil || got.Enabled || got.KV.CollectionGlob != "b" || len(got.KV.Ops) != 1 {
		t.Errorf("patched: got %+v, %v", got, err)
	}
	_, err = b.UpdateTrigger(t.Context(), b.app, tr.ID, TriggerPatch{FilterPatch: FilterPatch{DeadLetterPatch: DeadLetterPatch{SourceFilter: &source}}})
	wantError(t, err, cloud.Invalid, "doesn't have")

	d := b.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceDeadLetter, RetryMaxAttempts: 9, DeadLetter: &cloud.DeadLetterFilter{SourceFilter: "kv", TriggerIDFilter: tr.ID}})
	list, next, err := b.Triggers(t.Context(), b.app, cloud.Page{Limit: 1})
	if err != nil || len(list) != 1 || list[0].ID != tr.ID || next == "" {
		t.Fatalf("first page: got %v, %q, %v", list, next, err)
	}
	list, next, err = b.Triggers(t.Context(), b.app, cloud.Page{Limit: 1, Cursor: next})
	if err != nil || len(list) != 1 || list[0].ID != d.ID || next != "" || list[0].RetryMaxAttempts != 1 || *list[0].DeadLetter != *d.DeadLetter {
		t.Fatalf("second page: got %v, %q, %v", list, next, err)
	}
	_, _, err = b.Triggers(t.Context(), b.app, cloud.Page{Cursor: "x"})
	wantError(t, err, cloud.BadRequest, "cursor")

	if err := b.DeleteTrigger(t.Context(), b.app, tr.ID); err != nil {
		t.Error(err)
	}
	wantError(t, b.DeleteTrigger(t.Context(), b.app, tr.ID), cloud.NotFound, "no such trigger")
}

// What Emit matches is what its own transaction would read, cached or not.
func TestEmitSeesItsTransactionsTriggers(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s := b.script(b.app, never)
	rows := func() int { return b.count(`SELECT count(*) FROM outbox`) }
	emit := func(want int, when string) {
		t.Helper()
		before := rows()
		b.emitKV("k")
		if got := rows() - before; got != want {
			t.Errorf("%s: got %d rows, want %d", when, got, want)
		}
	}
	emit(0, "no trigger")
	tr := b.kvTrigger(s)
	emit(1, "created")
	emit(1, "from the cache")
	off, on := false, true
	if _, err := b.UpdateTrigger(t.Context(), b.app, tr.ID, TriggerPatch{Enabled: &off}); err != nil {
		t.Fatal(err)
	}
	emit(0, "disabled")
	if _, err := b.UpdateTrigger(t.Context(), b.app, tr.ID, TriggerPatch{Enabled: &on}); err != nil {
		t.Fatal(err)
	}
	emit(1, "enabled")
	before := rows()
	err := b.d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if err := b.Emit(ctx, tx, cloud.Origin{App: b.app}, kvEvent("k")); err != nil {
			return err
		}
		return errTest
	})
	if !errors.Is(err, errTest) || rows() != before {
		t.Errorf("an event outlived its write: %v, %d rows more", err, rows()-before)
	}
	// Within one transaction: a change is seen at once, and is gone after a rollback.
	err = b.d.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
		if _, err := tx.Exec(`DELETE FROM triggers WHERE id = ?`, tr.ID); err != nil {
			return err
		}
		b.triggers.changed(tx, b.app)
		if err := b.Emit(ctx, tx, cloud.Origin{App: b.app}, kvEvent("k")); err != nil {
			return err
		}
		var n int
		if err := tx.QueryRow(`SELECT count(*) FROM outbox`).Scan(&n); err != nil || n != before {
			t.Errorf("a deleted trigger fired inside its transaction: %v", err)
		}
		return errTest
	})
	if !errors.Is(err, errTest) {
		t.Fatal(err)
	}
	emit(1, "after a rolled back deletion")
	b.dropScript(s) // the cascade doesn't tell the cache
	emit(0, "script deleted")
}

func TestMatchKV(t *testing.T) {
	tests := []struct {
		glob, name string
		want       bool
	}{
		{"*", "anything", true}, {"a*", "a", true}, {"a*", "abc", true}, {"a*", "ba", false},
		{"abc", "abc", true}, {"abc", "abcd", false}, {"abc", "ab", false},
	}
	for _, tt := range tests {
		if got := matchGlob(tt.glob, tt.name); got != tt.want {
			t.Errorf("matchGlob(%q, %q): got %v", tt.glob, tt.name, got)
		}
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("a*", "abc")
	f.Add("*", "")
	f.Fuzz(func(t *testing.T, glob, name string) {
		tr := &cloud.Trigger{KV: &cloud.KVFilter{CollectionGlob: glob}}
		if checkKV(tr) != nil {
			return
		}
		prefix, star := strings.CutSuffix(glob, "*")
		want := name == glob || star && len(name) >= len(prefix) && name[:len(prefix)] == prefix
		if got := matchGlob(glob, name); got != want {
			t.Errorf("matchGlob(%q, %q): got %v, want %v", glob, name, got, want)
		}
	})
}

func TestRetryWaits(t *testing.T) {
	tests := []struct {
		r    Retry
		want []time.Duration
	}{
		{Retry{Backoff: Exponential, BaseMS: 1000}, []time.Duration{time.Second, 2 * time.Second, 4 * time.Second}},
		{Retry{Backoff: Linear, BaseMS: 500}, []time.Duration{500 * time.Millisecond, time.Second, 1500 * time.Millisecond}},
		{Retry{Backoff: Constant, BaseMS: 10}, []time.Duration{10 * time.Millisecond, 10 * time.Millisecond, 10 * time.Millisecond}},
	}
	for _, tt := range tests {
		for i, want := range tt.want {
			if got := tt.r.wait(i + 1); got != want {
				t.Errorf("%s, attempt %d: got %v, want %v", tt.r.Backoff, i+1, got, want)
			}
		}
		if got := tt.r.wait(100); got > maxWait || got <= 0 {
			t.Errorf("%s, attempt 100: got %v, want at most %v", tt.r.Backoff, got, maxWait)
		}
	}
	jittered := Retry{Backoff: Constant, BaseMS: 1000, JitterPct: 20}
	differs := false
	for range 100 {
		d := jittered.wait(1)
		differs = differs || d != time.Second
		if d < 800*time.Millisecond || d > 1200*time.Millisecond {
			t.Errorf("with 20 %% jitter: got %v", d)
		}
	}
	if !differs {
		t.Error("the jitter does nothing")
	}
}

func TestRowsAndCancel(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s := b.script(b.app, never)
	var ids []cloud.RowID
	for range 3 {
		inv := b.invocation(s)
		if err := b.Submit(t.Context(), inv); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, cloud.RowID(inv.ID))
	}
	claimed, err := b.claim(t.Context(), ordinary(b.app, 1), 1)
	if err != nil || len(claimed) != 1 || claimed[0].id != ids[0] {
		t.Fatalf("claim: got %v, %v", claimed, err)
	}
	list, next, err := b.Rows(t.Context(), b.app, cloud.Page{Limit: 2})
	if err != nil || len(list) != 2 || list[0].State != stateRunning || list[1].State != stateWaiting || next == "" {
		t.Fatalf("rows: got %+v, %q, %v", list, next, err)
	}
	if list, next, err = b.Rows(t.Context(), b.app, cloud.Page{Limit: 2, Cursor: next}); err != nil || len(list) != 1 || list[0].ID != ids[2] || next != "" {
		t.Fatalf("second page: got %+v, %q, %v", list, next, err)
	}
	wantError(t, b.Cancel(t.Context(), b.app, ids[0]), cloud.Conflict, "running")
	wantError(t, b.Cancel(t.Context(), b.addApp("other"), ids[1]), cloud.NotFound, "no such row")
	if err := b.Cancel(t.Context(), b.app, ids[1]); err != nil {
		t.Error(err)
	}
	x, err := b.Event(t.Context(), ids[0])
	if err != nil || x.Status != cloud.StatusRunning || x.Attempt != 1 {
		t.Errorf("event: got %+v, %v, want running", x, err)
	}
	st, err := b.Stats(t.Context())
	if err != nil || st.Waiting != 1 || st.Running != 1 || st.Retrying != 0 {
		t.Errorf("stats: got %+v, %v", st, err)
	}
	reg := prometheus.NewPedanticRegistry()
	reg.MustRegister(b.Collectors()...)
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, f := range families {
		names = append(names, f.GetName())
	}
	for _, want := range []string{"picloud_outbox_rows", "picloud_outbox_oldest_due_seconds", "picloud_dispatch_pickup_seconds", "picloud_retries_total"} {
		if !slices.Contains(names, want) {
			t.Errorf("metrics: %v lack %s", names, want)
		}
	}
}

// addLetters puts n dead letters into the table.
func (b *box) addLetters(n int, s cloud.ScriptID, created cloud.Time) {
	b.t.Helper()
	b.fill(b.app, s, n)
	for {
		rows := b.claimAll()
		if len(rows) == 0 {
			break
		}
		b.update(func(tx *db.Tx) error {
			for _, r := range rows {
				u := unsettled{row: r, hopeless: true, attempt: cloud.Attempt{At: created, ExecutionID: r.exec(), Error: "old"}}
				if err := b.fail(tx, u); err != nil {
					return err
				}
			}
			return nil
		})
	}
	b.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`UPDATE dead_letters SET created_at = ? WHERE last_error = 'old' AND first_attempt_at = ?`, int64(created), int64(created))
		return err
	})
}

func TestBulkReplayAndResolve(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	a, c := b.script(b.app, never), b.script(b.app, never)
	b.addLetters(250, a, 1)
	b.addLetters(5, c, 2)
	if n, err := b.ResolveMany(t.Context(), b.app, DeadLetterFilter{ScriptID: c}, "known"); n != 5 || err != nil {
		t.Errorf("resolved: got %d, %v, want 5", n, err)
	}
	if n, err := b.ReplayMany(t.Context(), b.app, DeadLetterFilter{Source: cloud.SourceHTTP}); n != 250 || err != nil {
		t.Errorf("replayed: got %d, %v, want 250", n, err)
	}
	if n, err := b.ReplayMany(t.Context(), b.app, DeadLetterFilter{}); n != 0 || err != nil {
		t.Errorf("replayed again: got %d, %v, want 0", n, err)
	}
	if n := b.count(`SELECT count(*) FROM outbox WHERE script_id = ? AND attempt_count = 0 AND attempts = '[]'`, a); n != 250 {
		t.Errorf("rows: got %d, want 250 fresh ones", n)
	}
	all := b.letters(DeadLetterFilter{})
	one := b.letters(DeadLetterFilter{IDs: []cloud.DeadLetterID{all[3].ID}})
	if len(one) != 1 || one[0].ID != all[3].ID {
		t.Errorf("by id: got %v", one)
	}
	if got := b.letters(DeadLetterFilter{Unresolved: true}); len(got) != 0 {
		t.Errorf("open letters: got %d, want 0", len(got))
	}
	_, next, err := b.DeadLetters(t.Context(), b.app, DeadLetterFilter{}, cloud.Page{Limit: 200})
	if err != nil || next == "" {
		t.Fatalf("first page: %q, %v", next, err)
	}
	if rest, next, err := b.DeadLetters(t.Context(), b.app, DeadLetterFilter{}, cloud.Page{Limit: 200, Cursor: next}); len(rest) != 55 || next != "" || err != nil {
		t.Errorf("second page: got %d letters, %q, %v, want 55", len(rest), next, err)
	}
}

// A process that restarts often sweeps all the same, and one that runs on sweeps every hour.
func TestSweeps(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, never)
		now := b.now()
		b.addLetters(600, s, now.Add(-31*24*time.Hour))
		b.addLetters(1, s, now.Add(-30*24*time.Hour+90*time.Minute))
		b.addLetters(1, s, now)
		for _, age := range []time.Duration{8 * 24 * time.Hour, time.Hour} {
			b.update(func(tx *db.Tx) error {
				_, err := tx.Exec(`INSERT INTO abandoned_executions (id, app_id, execution_id, inbox_id, status_code, result_summary, created_at) VALUES (randomblob(16), ?, randomblob(16), randomblob(16), 200, '', ?)`,
					b.app, int64(now.Add(-age)))
				return err
			})
		}
		stop := b.serve()
		synctest.Wait()
		if l, a := b.count(`SELECT count(*) FROM dead_letters`), b.count(`SELECT count(*) FROM abandoned_executions`); l != 2 || a != 1 {
			t.Errorf("after the start: got %d letters and %d abandoned, want 2 and 1", l, a)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if l := b.count(`SELECT count(*) FROM dead_letters`); l != 1 {
			t.Errorf("after three hours: got %d letters, want 1", l)
		}
		stop()
	})
}
