package data

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

var turnApp = cloud.NewID[cloud.AppID]()

func keysOf(keys ...string) (items []item) {
	for _, k := range keys {
		items = append(items, keyItem(turnApp, name{"c", k}))
	}
	return items
}

func TestTurnsAreFIFO(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		var got []int
		first, err := turns.wait(t.Context(), cloud.NewID[cloud.ExecutionID](), keysOf("k"))
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			go func() {
				release, err := turns.wait(t.Context(), cloud.NewID[cloud.ExecutionID](), keysOf("k"))
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, i) // only the holder does
				time.Sleep(time.Second)
				release()
			}()
			synctest.Wait()
		}
		if len(got) != 0 {
			t.Errorf("%v went before the holder released", got)
		}
		first()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		wantNoQueues(t, turns)
	})
}

func TestTurnKeepsItsPlaceAcrossConflicts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		old, young, third := cloud.NewID[cloud.ExecutionID](), cloud.NewID[cloud.ExecutionID](), cloud.NewID[cloud.ExecutionID]()
		first, err := turns.wait(t.Context(), old, keysOf("a"))
		if err != nil {
			t.Fatal(err)
		}
		releaseYoung, err := turns.wait(t.Context(), young, keysOf("b"))
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		queue := func(who string, id cloud.ExecutionID, keys ...string) {
			go func() {
				release, err := turns.wait(t.Context(), id, keysOf(keys...))
				if err != nil {
					t.Error(err)
					return
				}
				got = append(got, who)
				time.Sleep(time.Second)
				release()
			}()
			synctest.Wait()
		}
		queue("third", third, "b", "a")
		queue("old", old, "b") // conflicts again, while b is held
		first()                // does nothing: old has asked again
		synctest.Wait()
		if len(got) > 0 {
			t.Errorf("%v went before b was released", got)
		}
		releaseYoung()
		time.Sleep(time.Minute)
		synctest.Wait()
		if want := []string{"old", "third"}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		wantNoQueues(t, turns)
	})
}

func TestTurnEndsWithItsContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		release, err := turns.wait(t.Context(), cloud.NewID[cloud.ExecutionID](), keysOf("a"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var got atomic.Bool
		go func() {
			if _, err := turns.wait(ctx, cloud.NewID[cloud.ExecutionID](), keysOf("a", "b")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}()
		synctest.Wait()
		go func() { // behind the one that gives up
			release, err := turns.wait(t.Context(), cloud.NewID[cloud.ExecutionID](), keysOf("b"))
			if err != nil {
				t.Error(err)
				return
			}
			got.Store(true)
			release()
		}()
		synctest.Wait()
		if got.Load() {
			t.Error("overtook one that waits for more")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if !got.Load() {
			t.Error("waits for one that gave up")
		}
		release()
		wantNoQueues(t, turns)
	})
}

func TestHolderIsNotOvertaken(t *testing.T) {
	t.Parallel()
	r := newRig(t, Options{})
	r.put("k", `1`, "p/a", `1`)
	holder := cloud.NewID[cloud.ExecutionID]()
	release, err := r.turns.wait(t.Context(), holder, []item{keyItem(r.app, name{"c", "k"}), {r.app, "c", "p/", true}})
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		do    func(*tunit)
		stops bool
	}{
		{"reads and writes the key", func(u *tunit) { u.increment("c", "k", 0) }, true},
		{"lists and writes the key", func(u *tunit) { u.list("c", ListOptions{}); u.set("c", "k", `1`) }, true},
		{"reads the key only", func(u *tunit) { u.get("c", "k"); u.set("c", "x", `1`) }, false},
		{"writes the key only", func(u *tunit) { u.get("c", "x"); u.set("c", "k", `1`) }, false},
		{"adds to the key", func(u *tunit) { u.get("c", "x"); u.add("c", "k", 0) }, false},
		{"reads and writes another key", func(u *tunit) { u.increment("c", "x2", 1) }, false},
		{"reads and writes within the span", func(u *tunit) { u.get("c", "p/new"); u.set("c", "p/new", `1`) }, true},
		{"has called the outside world", func(u *tunit) { u.NoRerun(); u.increment("c", "k", 0) }, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			u := r.begin1()
			tt.do(u)
			err := r.commit(u)
			if got := asContended(err) != nil; got != tt.stops || !got && err != nil {
				t.Errorf("got %v, want it stopped: %v", err, tt.stops)
			}
		})
	}
	t.Run("the holder itself", func(t *testing.T) {
		u := r.again(&cloud.Invocation{ID: holder, App: r.app}, cloud.Limits{})
		u.increment("c", "k", 1)
		r.mustCommit(u)
	})
	release()
	u := r.begin1()
	u.increment("c", "k", 1)
	r.mustCommit(u)
}

// TestTurnsExclude has many executions take turns on random items, some giving up, some
// asking again, and checks that nobody shares one and all come to an end.
func TestTurnsExclude(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns()
		holds := map[item]cloud.ExecutionID{}
		var mu sync.Mutex // guards holds
		var all sync.WaitGroup
		for n := range 200 {
			all.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(n), 1))
				random := func() []item {
					var keys []string
					for range 1 + rnd.IntN(3) {
						keys = append(keys, fmt.Sprint(rnd.IntN(5)))
					}
					return keysOf(keys...)
				}
				time.Sleep(time.Duration(rnd.IntN(1000)) * time.Millisecond)
				exec := cloud.NewID[cloud.ExecutionID]()
				mine := itemSet{}
				for range 1 + rnd.IntN(3) {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(1+rnd.IntN(60))*time.Second)
					items := random()
					release, err := turns.wait(ctx, exec, items)
					cancel()
					if err != nil {
						clear(mine)
						continue
					}
					for _, i := range items {
						mine.add(i)
					}
					mu.Lock()
					for i := range mine {
						if other, held := holds[i]; held {
							t.Errorf("%v is held by %v and %v", i, other, exec)
						}
						holds[i] = exec
					}
					mu.Unlock()
					time.Sleep(time.Duration(rnd.IntN(500)) * time.Millisecond)
					mu.Lock()
					for i := range mine {
						delete(holds, i)
					}
					mu.Unlock()
					if rnd.IntN(2) == 0 {
						release()
						clear(mine)
					}
					defer release()
				}
				if len(mine) > 0 {
					time.Sleep(time.Millisecond)
				}
			})
		}
		all.Wait()
		wantNoQueues(t, turns)
	})
}

func wantNoQueues(t *testing.T, turns *turns) {
	t.Helper()
	turns.mu.Lock()
	defer turns.mu.Unlock()
	if n := len(turns.queues) + len(turns.spans) + len(turns.of); n > 0 {
		t.Errorf("queues are left: %v %v", turns.queues, turns.of)
	}
}
