package data

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"picloud/app/cloud"
	"picloud/db"
)

// TestConflicts has u read, then somebody else write, then u write w and commit.
func TestConflicts(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name     string
		read     func(*tunit)
		other    func(*tunit)
		conflict bool
	}{
		{"the key read", func(u *tunit) { u.get("c", "b") }, func(o *tunit) { o.set("c", "b", `9`) }, true},
		{"another key", func(u *tunit) { u.get("c", "b") }, func(o *tunit) { o.set("c", "a", `9`) }, false},
		{"the key in another collection", func(u *tunit) { u.get("c", "b") }, func(o *tunit) { o.set("d", "b", `9`) }, false},
		{"nothing read", func(u *tunit) {}, func(o *tunit) { o.set("c", "w", `9`) }, false},
		{"blind set over a blind set", func(u *tunit) { u.set("c", "b", `8`) }, func(o *tunit) { o.set("c", "b", `9`) }, false},
		{"get of an own set", func(u *tunit) { u.set("c", "b", `8`); u.get("c", "b") }, func(o *tunit) { o.set("c", "b", `9`) }, false},
		{"add", func(u *tunit) { u.add("c", "b", 1) }, func(o *tunit) { o.add("c", "b", 1) }, false},
		{"get after add", func(u *tunit) { u.add("c", "b", 1); u.get("c", "b") }, func(o *tunit) { o.add("c", "b", 1) }, true},
		{"has of an own add", func(u *tunit) { u.add("c", "b", 1); u.Has(u.ctx, "c", "b") }, func(o *tunit) { o.add("c", "b", 1) }, false},
		{"increment", func(u *tunit) { u.increment("c", "b", 1) }, func(o *tunit) { o.add("c", "b", 1) }, true},
		{"absence, then an insert", func(u *tunit) { u.get("c", "x") }, func(o *tunit) { o.set("c", "x", `1`) }, true},
		{"has of what is deleted", func(u *tunit) { u.Has(u.ctx, "c", "b") }, func(o *tunit) { o.delete("c", "b") }, true},
		{"delete of what is deleted", func(u *tunit) { u.delete("c", "b") }, func(o *tunit) { o.delete("c", "b") }, true},
		{"delete of an absent key, then an insert", func(u *tunit) { u.delete("c", "x") }, func(o *tunit) { o.set("c", "x", `1`) }, true},
		{"set and delete that change nothing", func(u *tunit) { u.get("c", "x") }, func(o *tunit) { o.set("c", "x", `1`); o.delete("c", "x") }, false},
		{"getMany", func(u *tunit) { u.GetMany(u.ctx, "c", []string{"a", "b"}) }, func(o *tunit) { o.set("c", "b", `9`) }, true},
		{"list: a phantom", func(u *tunit) { u.list("c", ListOptions{}) }, func(o *tunit) { o.set("c", "zzz", `1`) }, true},
		{"list: an update", func(u *tunit) { u.list("c", ListOptions{}) }, func(o *tunit) { o.set("c", "b", `9`) }, true},
		{"list of nothing: a phantom", func(u *tunit) { u.list("none", ListOptions{}) }, func(o *tunit) { o.set("none", "x", `1`) }, true},
		{"list with prefix: inside", func(u *tunit) { u.list("c", ListOptions{Prefix: "p/"}) }, func(o *tunit) { o.set("c", "p/x", `1`) }, true},
		{"list with prefix: outside", func(u *tunit) { u.list("c", ListOptions{Prefix: "p/"}) }, func(o *tunit) { o.set("c", "p0", `1`) }, false},
		{"limited list: within the page", func(u *tunit) { u.list("c", ListOptions{Limit: 2}) }, func(o *tunit) { o.set("c", "ab", `1`) }, true},
		{"limited list: past the page", func(u *tunit) { u.list("c", ListOptions{Limit: 2}) }, func(o *tunit) { o.set("c", "cc", `1`) }, false},
		{"limited list: what makes the next page", func(u *tunit) { u.list("c", ListOptions{Limit: 2}) }, func(o *tunit) { o.delete("c", "c") }, true},
		{"limited list backwards: within the page", func(u *tunit) { u.list("c", ListOptions{Limit: 2, Reverse: true}) }, func(o *tunit) { o.set("c", "zz", `1`) }, true},
		{"limited list backwards: past the page", func(u *tunit) { u.list("c", ListOptions{Limit: 2, Reverse: true}) }, func(o *tunit) { o.set("c", "a", `9`) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			r.put("a", `1`, "b", `2`, "c", `3`, "d", `4`, "e", `5`)
			u := r.begin1()
			u.get("elsewhere", "x") // the snapshot is before the other's commit in any case
			tt.read(u)
			other := r.begin1()
			tt.other(other)
			r.mustCommit(other)
			u.set("out", "w", `1`)
			err := r.commit(u)
			if got := asContended(err) != nil; got != tt.conflict || !got && err != nil {
				t.Errorf("got %v, want a conflict: %v", err, tt.conflict)
			}
			if tt.conflict {
				wantKind(t, "conflict", err, cloud.Conflict)
			}
		})
	}
}

func TestReadOnlyNeverConflicts(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("a", `1`)
	u := r.begin1()
	u.list("c", ListOptions{})
	r.put("a", `2`)
	if err := r.db.Update(t.Context(), u.Apply); err != nil {
		t.Error(err)
	}
}

// TestBatchMatesConflict commits in one group what is not yet visible to anybody.
func TestBatchMatesConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("n", `0`)
	const mates = 8
	var units []*tunit
	for range mates {
		u := r.begin1()
		u.increment("c", "n", 1)
		units = append(units, u)
	}
	// The writer is kept busy until all are in its queue.
	busy, queued := make(chan struct{}), make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		r.db.Update(t.Context(), func(context.Context, *db.Tx) error { close(busy); <-queued; return nil })
	})
	<-busy
	var mu sync.Mutex
	batches := map[uint64]int{}
	won := 0
	for _, u := range units {
		all.Go(func() {
			err := r.db.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error {
				mu.Lock()
				batches[tx.Batch()]++
				mu.Unlock()
				return u.Apply(ctx, tx)
			})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case asContended(err) == nil:
				t.Error(err)
			}
		})
	}
	close(queued)
	all.Wait()
	if won != 1 {
		t.Errorf("%d of %d increments from the same snapshot were committed, want 1 (batches %v)", won, mates, batches)
	}
	if got := r.begin1().get("c", "n"); got != "1" {
		t.Errorf("got %s, want 1", got)
	}
}

// TestRolledBackMateCostsARerunAtMost has a closure undone after its Apply.
func TestRolledBackMateCostsARerunAtMost(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("n", `0`)
	undo := errors.New("undo")
	u := r.begin1()
	u.increment("c", "n", 1)
	if err := r.db.Update(t.Context(), func(ctx context.Context, tx *db.Tx) error { return errors.Join(u.Apply(ctx, tx), undo) }); !errors.Is(err, undo) {
		t.Fatal(err)
	}
	v := r.begin1()
	v.increment("c", "n", 1)
	r.mustCommit(v)
}

func TestConflictIsFinal(t *testing.T) {
	t.Parallel()
	for name, prepare := range map[string]func(*tunit){
		"after NoRerun": func(u *tunit) { u.NoRerun() },
		"after Commit": func(u *tunit) {
			u.set("c", "first", `1`)
			if err := u.Commit(u.ctx); err != nil {
				u.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, Options{})
			u := r.begin1()
			prepare(u)
			u.increment("c", "n", 1)
			r.put("n", `5`)
			err := u.Commit(u.ctx)
			wantKind(t, "commit", err, cloud.Conflict)
			if asContended(err) != nil {
				t.Error("the conflict says that it can be run again")
			}
		})
	}
}

func TestWhatIsForgottenIsAConflict(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{Recent: 10})
	other := r.addApp("other")
	long, elsewhere := r.begin1(), r.unit(other, cloud.Limits{})
	long.get("c", "quiet")
	elsewhere.get("c", "quiet")
	long.set("c", "out", `1`)
	elsewhere.set("c", "out", `1`)
	for i := range 20 {
		r.put(fmt.Sprint(i), `1`)
	}
	if err := r.commit(long); asContended(err) == nil {
		t.Errorf("got %v, want a conflict", err)
	}
	r.mustCommit(elsewhere) // another app's load is none of its business
	if r.recent.keys > 10 {
		t.Errorf("%d keys remembered, want at most 10", r.recent.keys)
	}
}

func TestRecentIsBoundedInBytes(t *testing.T) {
	t.Parallel()
	r := newRecent(1<<16, 4000)
	app := cloud.NewID[cloud.AppID]()
	for i := range 100 {
		r.publish(app, []name{{"c", strings.Repeat("x", 500) + fmt.Sprint(i%20)}})
		total, n := 0, 0
		for w := r.apps[app].newest; w != nil; w = w.older {
			total += w.bytes()
			n++
		}
		if total != r.bytes || n != r.keys || n != len(r.apps[app].byName) || total > 4000 {
			t.Fatalf("%d keys of %d bytes in the list, counted %d and %d, %d in the index", n, total, r.keys, r.bytes, len(r.apps[app].byName))
		}
	}
}

func TestReadsStayBounded(t *testing.T) {
	t.Parallel()
	var r reads
	for i := range 3 * maxReadKeys {
		r.addKey(name{"c", fmt.Sprint(i)})
		if len(r.keys) > maxReadKeys {
			t.Fatalf("%d keys", len(r.keys))
		}
		if i%1000 == 0 && !r.covers(name{"c", "0"}) {
			t.Fatal("a read was forgotten")
		}
	}
	for i := range 3 * maxReadSpans {
		c := fmt.Sprint(i)
		r.addSpan(span{collection: c, from: "a", to: "b"})
		if len(r.spans) > maxReadSpans {
			t.Fatalf("%d spans", len(r.spans))
		}
		if !r.covers(name{c, "a"}) || !r.covers(name{"c", "0"}) || !r.covers(name{"0", "a"}) {
			t.Fatal("a read was forgotten")
		}
	}
}

func TestPagesOfOneListAreOneSpan(t *testing.T) {
	t.Parallel()
	for _, reverse := range []bool{false, true} {
		r := newRig(t, Options{})
		var kv []string
		for i := range 20 {
			kv = append(kv, fmt.Sprintf("%02d", i), `1`)
		}
		r.put(kv...)
		u := r.begin1()
		o := ListOptions{Limit: 3, Reverse: reverse}
		var keys []string
		for {
			page, next, err := u.List(u.ctx, "c", o)
			if err != nil {
				t.Fatal(err)
			}
			keys = append(keys, page...)
			if o.Cursor = next; next == "" {
				break
			}
		}
		if reverse {
			slices.Reverse(keys)
		}
		if len(keys) != 20 || !slices.IsSorted(keys) {
			t.Errorf("paged to %v", keys)
		}
		if len(u.reads.spans) != 1 || !u.reads.covers(name{"c", "\x00"}) || !u.reads.covers(name{"c", "zz"}) {
			t.Errorf("reads %+v, want the whole collection as one span", u.reads.spans)
		}
	}
}

func TestNoUpdateIsLost(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	const clients, each = 64, 5
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			for range each {
				_, err := r.do(t.Context(), func(u *tunit) error {
					v, _, err := u.Get(u.ctx, "c", "n")
					if err != nil {
						return err
					}
					n := 0
					if v != nil {
						json.Unmarshal(v, &n)
					}
					return u.Set(u.ctx, "c", "n", json.RawMessage(fmt.Sprint(n+1)), 0)
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if got, want := r.begin1().get("c", "n"), fmt.Sprint(clients*each); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if len(r.turns.queues)+len(r.turns.spans)+len(r.turns.of) > 0 {
		t.Errorf("queues are left: %v", r.turns.queues)
	}
}

// TestLongReaderWriterIsNotStarved runs an execution that takes as long as several short
// ones, which all change what it has read.
func TestLongReaderWriterIsNotStarved(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	progress := make(chan struct{}, 64)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				_, err := r.do(ctx, func(u *tunit) error {
					_, err := u.Increment(u.ctx, "c", fmt.Sprint("k", i%4), 1)
					return err
				})
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
				select {
				case progress <- struct{}{}:
				default:
				}
			}
		})
	}
	runs := 0
	_, err := r.do(t.Context(), func(u *tunit) error {
		runs++
		total := 0.0
		for i := range 4 {
			v, _, err := u.Get(u.ctx, "c", fmt.Sprint("k", i))
			if err != nil {
				return err
			}
			n := 0.0
			if v != nil {
				json.Unmarshal(v, &n)
			}
			total += n
		}
		if runs == 1 { // until it holds its turn, others surely get in between
			for range 32 {
				<-progress
			}
		}
		u.set("c", "total", fmt.Sprint(total))
		return u.Commit(u.ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	if runs < 2 || runs > 6 { // each of four keys can make it run again once, and a first race
		t.Errorf("it ran %d times", runs)
	}
	stop()
	all.Wait()
}
