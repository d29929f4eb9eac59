package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

func TestOwnWritesAreSeenByTheirExecutionAloneUntilItCommits(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`, "b", `2`, "d", `4`)
	u := r.begin1()
	u.set("c", "a", `"new"`)
	u.delete("c", "b")
	u.set("c", "c", `3`)
	u.add("c", "d", 1)
	for k, want := range map[string]string{"a": `"new"`, "b": "-", "c": "3", "d": "5", "e": "-"} {
		if got := u.get("c", k); got != want {
			t.Errorf("get %s: got %s, want %s", k, got, want)
		}
		has, err := u.Has(u.ctx, "c", k)
		if err != nil || has != (want != "-") {
			t.Errorf("has %s: got %v, %v", k, has, err)
		}
	}
	if got, want := u.list("c", ListOptions{}), []string{"a", "c", "d"}; !slices.Equal(got, want) {
		t.Errorf("list: got %v, want %v", got, want)
	}
	many, err := u.GetMany(u.ctx, "c", []string{"a", "b", "d", "a"})
	if want := map[string]json.RawMessage{"a": json.RawMessage(`"new"`), "d": json.RawMessage("5")}; err != nil || !reflect.DeepEqual(many, want) {
		t.Errorf("getMany: got %s, %v", many, err)
	}
	if got := r.begin1().get("c", "a"); got != "1" {
		t.Errorf("another execution sees %s before the commit", got)
	}
	r.mustCommit(u)
	if got := r.begin1().get("c", "a"); got != `"new"` {
		t.Errorf("another execution sees %s after the commit", got)
	}
}

func TestSnapshotStaysAsItWas(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`)
	u := r.begin1()
	if got := u.get("c", "a"); got != "1" {
		t.Fatalf("got %s", got)
	}
	r.put("a", `2`, "b", `2`)
	if got := u.get("c", "a") + u.get("c", "b"); got != "1-" {
		t.Errorf("got %s, want what was there at the first read", got)
	}
	if !u.Empty() {
		t.Error("reads alone leave something to commit")
	}
}

func TestAppsSeeOnlyTheirOwn(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	other := r.addApp("other")
	r.put("a", `1`)
	u := r.unit(other, cloud.Limits{})
	if got := u.get("c", "a"); got != "-" {
		t.Errorf("got %s of another app", got)
	}
	r.put("a", `2`)
	u.set("c", "a", `3`)
	r.mustCommit(u) // no conflict with the other app's a
	if got := r.begin1().get("c", "a"); got != "2" {
		t.Errorf("got %s, want 2", got)
	}
}

func TestEventsAreOnePerKeyFromBeforeToAfter(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`, "b", `{"x":1}`, "n", `1`)
	u := r.begin1()
	u.set("c", "new", `"<v>"`)
	u.set("c", "a", `2`)
	u.set("c", "a", `3`)
	u.delete("c", "b")
	u.set("c", "brief", `1`)
	u.delete("c", "brief")
	u.delete("c", "absent")
	u.add("c", "n", 1.5)
	u.increment("c", "n", 1)
	u.set("c", `q"é`, `null`)
	r.mustCommit(u)
	wantEvents(t, r.out,
		`insert c {"source":"kv","op":"insert","kv":{"collection":"c","key":"new","value":"<v>"}}`,
		`update c {"source":"kv","op":"update","kv":{"collection":"c","key":"a","value":3,"oldValue":1}}`,
		`delete c {"source":"kv","op":"delete","kv":{"collection":"c","key":"b","oldValue":{"x":1}}}`,
		`update c {"source":"kv","op":"update","kv":{"collection":"c","key":"n","value":3.5,"oldValue":1}}`,
		`insert c {"source":"kv","op":"insert","kv":{"collection":"c","key":"q\"é","value":null}}`,
	)
	if from := r.out.from[len(r.out.from)-1]; from.Execution != u.exec || from.App != r.app {
		t.Errorf("events come from %+v", from)
	}
}

func TestDeletingWhatIsNotThereIsNoWrite(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	if u.delete("c", "a") || !u.Empty() {
		t.Error("deleting an absent key left something to commit")
	}
	u.set("c", "a", `1`)
	if !u.delete("c", "a") || u.delete("c", "a") {
		t.Error("delete does not know the execution's own writes")
	}
	r.mustCommit(u)
	wantEvents(t, r.out)
}

func TestChangesOfOneKeyFold(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name string
		do   func(*tunit)
		want string
	}{
		{"add to nothing", func(u *tunit) { u.add("c", "k", 2) }, "2"},
		{"add twice", func(u *tunit) { u.add("c", "k", 2); u.add("c", "k", 3) }, "5"},
		{"add to an own set", func(u *tunit) { u.set("c", "k", `10`); u.add("c", "k", 3) }, "13"},
		{"set after add", func(u *tunit) { u.add("c", "k", 3); u.set("c", "k", `1`) }, "1"},
		{"delete after add", func(u *tunit) { u.add("c", "k", 3); u.delete("c", "k") }, "-"},
		{"add after delete", func(u *tunit) { u.set("c", "k", `9`); u.delete("c", "k"); u.add("c", "k", 3) }, "3"},
		{"increment after add", func(u *tunit) { u.add("c", "k", 3); u.increment("c", "k", 4) }, "7"},
		{"increment twice", func(u *tunit) { u.increment("c", "k", 0.5); u.increment("c", "k", 0.25) }, "0.75"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			u := r.begin1()
			tt.do(u)
			if got := u.get("c", "k"); got != tt.want {
				t.Errorf("before the commit: got %s, want %s", got, tt.want)
			}
			r.mustCommit(u)
			if got := r.begin1().get("c", "k"); got != tt.want {
				t.Errorf("after the commit: got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestNumbersOnly(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("s", `"1"`, "big", `1.7e308`)
	u := r.begin1()
	for k, by := range map[string]float64{"s": 1, "big": 1.7e308} {
		_, err := u.Increment(u.ctx, "c", k, by)
		wantKind(t, "increment "+k, err, cloud.Invalid)
	}
	u.add("c", "s", 1)
	wantKind(t, "commit of an add to a string", r.commit(u), cloud.Invalid)
	u = r.begin1()
	u.set("c", "own", `true`)
	wantKind(t, "add to an own set", u.Add(u.ctx, "c", "own", 1), cloud.Invalid)
}

func TestBadNamesAndValuesAreInvalid(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	long := strings.Repeat("x", MaxKey+1)
	for _, tt := range []struct{ name, collection, key, value string }{
		{"empty collection", "", "k", "1"},
		{"long collection", long[:MaxCollection+1], "k", "1"},
		{"empty key", "c", "", "1"},
		{"long key", "c", long, "1"},
		{"key not UTF-8", "c", "\xff", "1"},
		{"collection not UTF-8", "\xff", "k", "1"},
		{"no value", "c", "k", ""},
		{"no JSON", "c", "k", "{"},
		{"value not UTF-8", "c", "k", "\"\xff\""},
		{"long value", "c", "k", `"` + strings.Repeat("x", MaxValue) + `"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wantKind(t, "set", u.Set(u.ctx, tt.collection, tt.key, json.RawMessage(tt.value), 0), cloud.Invalid)
			if tt.value != "1" {
				return
			}
			_, _, err := u.Get(u.ctx, tt.collection, tt.key)
			wantKind(t, "get", err, cloud.Invalid)
			_, err = u.Has(u.ctx, tt.collection, tt.key)
			wantKind(t, "has", err, cloud.Invalid)
			_, err = u.Delete(u.ctx, tt.collection, tt.key)
			wantKind(t, "delete", err, cloud.Invalid)
			_, err = u.Increment(u.ctx, tt.collection, tt.key, 1)
			wantKind(t, "increment", err, cloud.Invalid)
			wantKind(t, "add", u.Add(u.ctx, tt.collection, tt.key, 1), cloud.Invalid)
			_, err = u.GetMany(u.ctx, tt.collection, []string{tt.key})
			wantKind(t, "getMany", err, cloud.Invalid)
		})
	}
	wantKind(t, "negative ttl", u.Set(u.ctx, "c", "k", json.RawMessage("1"), -1), cloud.Invalid)
	_, err := u.GetMany(u.ctx, "c", make([]string, MaxList+1))
	wantKind(t, "getMany of too many", err, cloud.Invalid)
	if !u.Empty() {
		t.Error("refused writes are kept")
	}
}

func TestBudgetIsRaisedAtTheCall(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.unit(r.app, cloud.Limits{Writes: 2, WriteBytes: 20})
	u.set("c", "a", `1`)
	u.set("c", "a", `2`) // the same key is one write
	u.set("c", "b", `1`)
	wantKind(t, "third key", u.Set(u.ctx, "c", "d", json.RawMessage("1"), 0), cloud.BudgetExceeded)
	wantKind(t, "bytes", u.Set(u.ctx, "c", "b", json.RawMessage(`"12345678901234567890"`), 0), cloud.BudgetExceeded)
	if err := u.Commit(u.ctx); err != nil {
		t.Fatal(err)
	}
	u.set("c", "d", `1`) // the budget is per commit
	u.Defer(func(context.Context, *db.Tx) error { return nil })
	u.Defer(func(context.Context, *db.Tx) error { return nil })
	wantKind(t, "too many deferred", r.commit(u), cloud.BudgetExceeded)

	u = r.unit(r.app, cloud.Limits{Writes: 2, WriteBytes: 20})
	ran := 0
	deferred := func(n int) error {
		return u.DeferBytes(n, func(context.Context, *db.Tx) error { ran++; return nil })
	}
	wantKind(t, "deferred bytes", deferred(21), cloud.BudgetExceeded)
	if err := errors.Join(deferred(10), deferred(10)); err != nil {
		t.Fatal(err)
	}
	wantKind(t, "third deferred", deferred(0), cloud.BudgetExceeded)
	r.mustCommit(u)
	if ran != 2 {
		t.Errorf("deferred effects that ran: got %d, want 2", ran)
	}
}

func TestDefaultBudget(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	for i := range DefaultWrites {
		u.set("c", fmt.Sprint(i), `1`)
	}
	wantKind(t, "one more", u.Set(u.ctx, "c", "more", json.RawMessage("1"), 0), cloud.BudgetExceeded)
	r.mustCommit(u)
	u = r.begin1()
	megabyte := `"` + strings.Repeat("x", 1<<20-2) + `"`
	for _, k := range []string{"a", "b", "c"} {
		u.set("c", k, megabyte)
	}
	wantKind(t, "4 MiB", u.Set(u.ctx, "c", "d", json.RawMessage(megabyte), 0), cloud.BudgetExceeded)
}

func TestDeferredEffectsRunInOrderWithTheOthers(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	u.set("c", "a", `1`)
	u.Defer(func(_ context.Context, tx *db.Tx) error {
		a, err := find(tx.Rx, r.app, name{"c", "a"})
		if err != nil || a == nil {
			t.Errorf("a is not there yet: %v", err)
		}
		b, err := find(tx.Rx, r.app, name{"c", "b"})
		if err != nil || b != nil {
			t.Errorf("b is already there: %v", err)
		}
		return nil
	})
	u.set("c", "b", `1`)
	r.mustCommit(u)
}

func TestWhatFailsHalfWayLeavesNothing(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`)
	boom := errors.New("boom")
	t.Run("the script throws", func(t *testing.T) {
		u := r.begin1()
		u.set("c", "a", `2`)
		u.set("c", "b", `2`)
		u.Close() // nobody calls Apply
	})
	t.Run("the time is up", func(t *testing.T) {
		u := r.begin1()
		u.set("c", "a", `2`)
		ctx, cancel := context.WithTimeout(t.Context(), 0)
		defer cancel()
		wantKind(t, "commit", u.Commit(ctx), cloud.Timeout)
	})
	t.Run("an effect fails", func(t *testing.T) {
		u := r.begin1()
		u.set("c", "a", `2`)
		u.set("c", "b", `2`)
		u.Defer(func(context.Context, *db.Tx) error { return boom })
		if err := r.commit(u); !errors.Is(err, boom) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("the app is gone", func(t *testing.T) {
		u := r.unit(cloud.NewID[cloud.AppID](), cloud.Limits{})
		u.set("c", "a", `2`)
		wantKind(t, "commit", r.commit(u), cloud.NotFound)
	})
	u := r.begin1()
	if got := u.get("c", "a") + u.get("c", "b"); got != "1-" {
		t.Errorf("got %s, want 1-", got)
	}
	wantEvents(t, r.out)
}

func TestApplyIsRepeatable(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`)
	u := r.begin1()
	u.increment("c", "a", 1)
	u.add("c", "b", 1)
	u.delete("c", "a")
	u.set("c", "d", `1`)
	undo := errors.New("undo")
	for range 2 {
		err := r.db.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
			return errors.Join(u.Apply(ctx, tx), undo)
		})
		if !errors.Is(err, undo) || asContended(err) != nil {
			t.Fatal(err)
		}
	}
	r.mustCommit(u)
	if got := strings.Join(r.begin1().list("c", ListOptions{}), ""); got != "bd" {
		t.Errorf("got %s, want bd", got)
	}
	if got := len(r.out.take()); got != 3 {
		t.Errorf("got %d events, want 3", got)
	}
}

func TestCommitInBetween(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	u.set("c", "a", `1`)
	if err := u.Commit(u.ctx); err != nil {
		t.Fatal(err)
	}
	if !u.Empty() {
		t.Error("something is left to commit")
	}
	r.put("b", `1`)
	if got := u.get("c", "a") + u.get("c", "b"); got != "11" {
		t.Errorf("got %s of the fresh snapshot, want 11", got)
	}
	u.increment("c", "a", 1)
	r.mustCommit(u) // its own first commit is no conflict
	if got := r.begin1().get("c", "a"); got != "2" {
		t.Errorf("got %s, want 2", got)
	}
}

func TestCommitAsksHold(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	lost := errors.New("the claim is lost")
	held := 0
	u := r.Begin(&cloud.Invocation{ID: cloud.NewID[cloud.ExecutionID](), App: r.app}, cloud.Limits{}, func(context.Context, *db.Tx) error {
		if held++; held > 1 {
			return lost
		}
		return nil
	})
	defer u.Close()
	ctx := t.Context()
	for want := range 2 {
		if err := u.Set(ctx, "c", "a", json.RawMessage(`1`), 0); err != nil {
			t.Fatal(err)
		}
		if err := u.Commit(ctx); errors.Is(err, lost) != (want == 1) {
			t.Fatalf("commit %d: %v", want, err)
		}
	}
	if err := u.Set(ctx, "c", "a", json.RawMessage(`2`), 0); !errors.Is(err, lost) {
		t.Errorf("after a failed commit the unit goes on: %v", err)
	}
	if err := r.db.Update(ctx, u.Apply); !errors.Is(err, lost) {
		t.Errorf("after a failed commit Apply goes on: %v", err)
	}
}

func TestNothingIsReadAfterClose(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	u.set("c", "a", `1`)
	u.Close()
	if _, _, err := u.Get(u.ctx, "c", "b"); err == nil {
		t.Error("a read after Close")
	}
	r.mustCommit(u)
}

func TestContextEndsCalls(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ctx, cancel := context.WithTimeout(t.Context(), 0)
	defer cancel()
	u := r.begin1()
	_, _, err := u.Get(ctx, "c", "a")
	wantKind(t, "get", err, cloud.Timeout)
	wantKind(t, "set", u.Set(ctx, "c", "a", json.RawMessage("1"), 0), cloud.Timeout)
	u.set("c", "a", `1`)
	wantKind(t, "commit", u.Commit(ctx), cloud.Timeout)
}

func TestQuota(t *testing.T) {
	t.Parallel()
	most := int64(0)
	r := newRig(t, Options{Quota: func(cloud.AppID) int64 { return most }})
	r.put("a", `"12345678"`) // 1 + 1 + 10 bytes
	size := func() int64 {
		n, err := r.Bytes(t.Context(), r.app)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	if got := size(); got != 12 {
		t.Errorf("got %d bytes, want 12", got)
	}
	most = 15
	r.put("b", `1`)
	if got := size(); got != 15 {
		t.Errorf("got %d bytes, want 15", got)
	}
	u := r.begin1()
	u.set("c", "b", `12`)
	wantKind(t, "past the quota", r.commit(u), cloud.BudgetExceeded)
	u = r.begin1()
	u.delete("c", "a")
	r.mustCommit(u)
	r.put("b", `12`)
	if got := size(); got != 4 {
		t.Errorf("got %d bytes, want 4", got)
	}
	r.usage.bytes = map[cloud.AppID]int64{}
	if got := size(); got != 4 {
		t.Errorf("counted %d bytes, want 4", got)
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	megabyte := `"` + strings.Repeat("x", 1<<20-2) + `"`
	var keys []string
	for i := range 18 {
		keys = append(keys, fmt.Sprintf("%02d", i))
		r.put(keys[i], megabyte)
	}
	u := r.begin1()
	_, err := u.GetMany(u.ctx, "c", keys)
	wantKind(t, "getMany of 18 MiB", err, cloud.TooLarge)
	got := map[string]int{}
	o := ListOptions{}
	for {
		page, next, err := u.Entries(u.ctx, "c", o)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) > 4 {
			t.Errorf("%d MiB in a page", len(page))
		}
		for _, e := range page {
			got[e.Key] = len(e.Value)
		}
		if o.Cursor = next; next == "" {
			break
		}
	}
	if want := slices.Sorted(maps.Keys(got)); !slices.Equal(want, keys) {
		t.Errorf("got %v", want)
	}
}

func TestTTLCountsFromTheCommit(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	r := newRig(t, Options{}, func(o *db.Options) { o.Now = func() time.Time { return now } })
	u := r.begin1()
	for k, ttl := range map[string]time.Duration{"tiny": 1, "second": time.Second, "ever": 0} {
		if err := u.Set(u.ctx, "c", k, json.RawMessage(`1`), ttl); err != nil {
			t.Fatal(err)
		}
	}
	now = now.Add(time.Hour)
	r.mustCommit(u)
	now = now.Add(time.Millisecond)
	u = r.begin1()
	u.increment("c", "second", 1) // keeps its end
	u.add("c", "second", 1)
	if got := u.get("c", "tiny") + u.get("c", "second") + u.get("c", "ever"); got != "-31" {
		t.Errorf("after a millisecond: got %s, want -31", got)
	}
	if got := u.list("c", ListOptions{}); !slices.Equal(got, []string{"ever", "second"}) {
		t.Errorf("list: got %v", got)
	}
	r.mustCommit(u)
	now = now.Add(998 * time.Millisecond)
	if got := r.begin1().get("c", "second"); got != "3" {
		t.Errorf("a moment before its end: got %s, want 3", got)
	}
	now = now.Add(time.Millisecond)
	u = r.begin1()
	if got := u.get("c", "second"); got != "-" || u.delete("c", "second") {
		t.Errorf("at its end: got %s", got)
	}
	r.out.take()
	u.set("c", "second", `9`)
	r.mustCommit(u)
	wantEvents(t, r.out,
		`delete c {"source":"kv","op":"delete","kv":{"collection":"c","key":"second","oldValue":3}}`,
		`insert c {"source":"kv","op":"insert","kv":{"collection":"c","key":"second","value":9}}`)
}

func TestWhatExpiresBeforeTheCommitIsAConflict(t *testing.T) {
	t.Parallel()
	now := time.UnixMilli(1_000_000)
	r := newRig(t, Options{}, func(o *db.Options) { o.Now = func() time.Time { return now } })
	u := r.begin1()
	if err := u.Set(u.ctx, "c", "k", json.RawMessage(`5`), time.Second); err != nil {
		t.Fatal(err)
	}
	r.mustCommit(u)
	reruns, err := r.do(t.Context(), func(u *tunit) error {
		u.increment("c", "k", 1)
		now = time.UnixMilli(1_001_000)
		return nil
	})
	if err != nil || reruns != 1 {
		t.Fatalf("%d re-runs, %v", reruns, err)
	}
	if got := r.begin1().get("c", "k"); got != "1" {
		t.Errorf("got %s, want a new count", got)
	}
}

func TestCloseWhileAStuckScriptReads(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	u := r.begin1()
	u.get("c", "a")
	ended := make(chan error)
	go func() {
		for {
			if _, _, err := u.Entries(u.ctx, "c", ListOptions{}); err != nil {
				ended <- err
				return
			}
		}
	}()
	u.Close()
	if err := <-ended; !errors.Is(err, errClosed) {
		t.Errorf("got %v", err)
	}
	if u.snap != nil {
		t.Error("the snapshot is still there")
	}
}
