package executor

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/app/outbox"
)

var _ outbox.Gate = (*Gate)(nil)

// caller is an app that calls.
var caller = cloud.NewID[cloud.AppID]()

func TestGateQueueIsInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 1})
		if err := g.Enter(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
		var mu sync.Mutex
		var order []string
		wait := func(name string, enter func(context.Context, cloud.AppID) error) {
			go func() {
				if err := enter(t.Context(), caller); err != nil {
					t.Error(err)
				}
				mu.Lock()
				order = append(order, name)
				mu.Unlock()
				g.Exit(caller)
			}()
			synctest.Wait()
		}
		wait("first", g.Enter)
		wait("second", g.Enter)
		wait("rerun", g.Reenter)
		g.Exit(caller)
		synctest.Wait()
		if want := []string{"rerun", "first", "second"}; !slices.Equal(order, want) {
			t.Errorf("got %v, want %v", order, want)
		}
		if s := g.Stats(); s.InUse != 0 || s.Waiting != 0 {
			t.Errorf("at the end: %+v, want nothing in use", s)
		}
	})
}

func TestGateRejects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 1, Queue: 1, Wait: 300 * time.Millisecond})
		if err := g.Enter(t.Context(), caller); err != nil {
			t.Fatal(err)
		}
		late := make(chan error, 1)
		began := time.Now()
		go func() { late <- g.Enter(t.Context(), caller) }()
		synctest.Wait()
		if err := g.Enter(t.Context(), caller); cloud.KindOf(err) != cloud.Overloaded {
			t.Errorf("with a full queue: got %v, want overloaded", err)
		}
		if err := <-late; cloud.KindOf(err) != cloud.Overloaded {
			t.Errorf("after the wait: got %v, want overloaded", err)
		}
		if took := time.Since(began); took != 300*time.Millisecond {
			t.Errorf("waited %v, want 300ms", took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		go func() { late <- g.Reenter(ctx, caller) }()
		synctest.Wait()
		cancel()
		if err := <-late; err == nil {
			t.Error("a cancelled re-run got a permit")
		}
		g.Exit(caller)
		if err := g.Enter(t.Context(), caller); err != nil {
			t.Errorf("after all that: %v", err)
		}
		if s := g.Stats(); s.InUse != 1 || s.Rejected != 3 {
			t.Errorf("got %+v, want 1 in use and 3 rejected", s)
		}
	})
}

func TestGateAsyncShare(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 8, Wait: time.Minute, Cores: 4})
		if got := g.TryEnter(100); got != 7 {
			t.Fatalf("nobody waits: async got %d, want all 8 but one", got)
		}
		entered := 0
		for range 20 {
			go func() {
				if g.Enter(t.Context(), cloud.NewID[cloud.AppID]()) == nil {
					entered++
				}
			}()
		}
		synctest.Wait()
		for range 5 {
			g.Leave() // async work ends; callers take over until async is at its quarter
			synctest.Wait()
		}
		if s := g.Stats(); entered != 6 || s.Async != 2 {
			t.Fatalf("callers %d, async %d, want 6 and 2", entered, s.Async)
		}
		g.TryEnter(5) // async wants more
		g.Leave()
		synctest.Wait()
		select {
		case <-g.Freed():
		default:
			t.Fatal("async is below its quarter and hungry, but was offered nothing")
		}
		if got := g.TryEnter(5); got != 1 {
			t.Fatalf("async got %d of the offer, want 1", got)
		}
		g.Leave()
		time.Sleep(2 * offerTime)
		synctest.Wait()
		if entered != 7 {
			t.Errorf("an offer that nobody takes: %d callers entered, want 7", entered)
		}
	})
}

// While callers come, async work leaves a processor clear, and takes it back when they stop.
func TestGateLeavesAProcessorToCallers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 16, Cores: 4})
		call := func() {
			t.Helper()
			if err := g.Enter(t.Context(), caller); err != nil {
				t.Fatal(err)
			}
			g.Exit(caller)
		}
		if g.Callers() {
			t.Error("callers before the first one")
		}
		call()
		if got := g.TryEnter(16); got != 3 || !g.Callers() {
			t.Fatalf("a caller came: async got %d of 16 permits, want 3; callers %v", got, g.Callers())
		}
		back := g.Away(true)
		<-g.Freed()
		if got := g.TryEnter(1); got != 1 {
			t.Errorf("one waits for another server: async got %d more, want 1", got)
		}
		back()
		g.Leave()
		time.Sleep(lullTime / 2)
		call() // and the lull begins anew
		if got := g.TryEnter(1); got != 0 {
			t.Errorf("async got %d more permits, want none", got)
		}
		select {
		case <-g.Freed():
			t.Error("async work was woken while there was nothing for it")
		case <-time.After(lullTime * 3 / 4): // the lull after the first caller is over
		}
		<-g.Freed()
		if got := g.TryEnter(13); got != 12 || g.Callers() {
			t.Errorf("nobody calls: async got %d more permits, want 12; callers %v", got, g.Callers())
		}
		for range 15 {
			g.Leave()
		}
	})
}

// An app that has the instance to itself may use all of its permits and of its queue; a few
// permits are no more than they say.
func TestGateAloneIsFilled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 2, Queue: 2, Wait: time.Minute})
		enter := func(app cloud.AppID, n int) (entered, refused int64) {
			var in, out atomic.Int64
			for range n {
				go func() {
					if g.Enter(t.Context(), app) == nil {
						in.Add(1)
					} else {
						out.Add(1)
					}
				}()
			}
			synctest.Wait()
			return in.Load(), out.Load()
		}
		if entered, refused := enter(caller, 5); entered != 2 || refused != 1 || g.Stats().Waiting != 2 {
			t.Errorf("alone: %d entered, %d were refused, %d wait; want 2, 1 and 2", entered, refused, g.Stats().Waiting)
		}
		for range 4 {
			g.Exit(caller)
			synctest.Wait()
		}
		time.Sleep(lullTime)
		if n := g.TryEnter(5); n != 2 {
			t.Errorf("nobody calls: async got %d, want 2", n)
		}
		g.Leave()
		g.Leave()
		other := cloud.NewID[cloud.AppID]()
		enter(other, 1)
		g.Exit(other)
		if entered, _ := enter(caller, 2); entered != 1 {
			t.Errorf("another app called: %d entered, want 1, for it to find the other one", entered)
		}
		time.Sleep(2 * mixedTime)
		if entered, _ := enter(caller, 1); entered != 1 {
			t.Errorf("long ago: %d entered, want 1", entered)
		}
	})
}

func TestGateFreedAfterHunger(t *testing.T) {
	t.Parallel()
	g := NewGate(GateOptions{Size: 2})
	if got := g.TryEnter(2); got != 2 {
		t.Fatalf("got %d, want 2", got)
	}
	if got := g.TryEnter(1); got != 0 {
		t.Fatalf("got %d, want 0", got)
	}
	g.Leave()
	select {
	case <-g.Freed():
	default:
		t.Error("no signal although async work was turned away")
	}
}

func TestGateUnderLoad(t *testing.T) {
	t.Parallel()
	g := NewGate(GateOptions{Size: 3, Wait: time.Minute})
	var running, most int
	var mu sync.Mutex
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			for range 50 {
				enter := g.Enter
				if i%8 == 0 {
					enter = g.Reenter
				}
				if err := enter(context.Background(), caller); err != nil {
					t.Error(errors.Unwrap(err), err)
					return
				}
				mu.Lock()
				running++
				most = max(most, running)
				mu.Unlock()
				mu.Lock()
				running--
				mu.Unlock()
				g.Exit(caller)
			}
		})
	}
	wg.Wait()
	if s := g.Stats(); most > 3 || s.InUse != 0 || s.Waiting != 0 {
		t.Errorf("most at once %d, then %+v; want at most 3, then nothing", most, s)
	}
}

// What two greedy apps take leaves something for a third, and for a fourth; when a permit is
// free again, it goes to the app that holds fewest, and in each app to who came first.
func TestGateIsFairToApps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := NewGate(GateOptions{Size: 16, Queue: 64, Wait: time.Minute})
		apps := []cloud.AppID{cloud.NewID[cloud.AppID](), cloud.NewID[cloud.AppID](), cloud.NewID[cloud.AppID](), cloud.NewID[cloud.AppID]()}
		for _, app := range apps {
			if err := g.Enter(t.Context(), app); err != nil {
				t.Fatal(err)
			}
			g.Exit(app)
		}
		var mu sync.Mutex // guards entered and refused while callers come
		var entered, refused [4]int
		for i, n := range []int{80, 10, 3, 1} { // greedy ones first
			for range n {
				go func() {
					err := g.Enter(t.Context(), apps[i])
					mu.Lock()
					defer mu.Unlock()
					if err == nil {
						entered[i]++
					} else {
						refused[i]++
					}
				}()
			}
			synctest.Wait()
		}
		if want := [4]int{12, 3, 1, 0}; entered != want {
			t.Fatalf("got %v permits, want %v", entered, want)
		}
		if want := [4]int{20, 0, 0, 0}; refused != want {
			t.Errorf("got %v refusals, want %v: the first app fills its part of the queue, and no more", refused, want)
		}
		g.Exit(apps[0])
		synctest.Wait()
		if want := [4]int{12, 3, 1, 1}; entered != want {
			t.Errorf("one of the first app ended: got %v, want %v: the next is for who has none", entered, want)
		}
		for range 11 {
			g.Exit(apps[0])
			synctest.Wait()
		}
		if want := [4]int{17, 5, 3, 1}; entered != want { // 5, 5, 3 and 1 run; two stay free for who may come
			t.Errorf("when all of the first app's ended: got %v, want %v", entered, want)
		}
		for app, s := range g.apps {
			for range s.held {
				g.Exit(app)
			}
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		for i := range apps {
			for g.apps[apps[i]] != nil && g.apps[apps[i]].held > 0 {
				g.Exit(apps[i])
				synctest.Wait()
			}
		}
		if s := g.Stats(); s.InUse != 0 || s.Waiting != 0 || len(g.apps) != 0 {
			t.Errorf("at the end: %+v and %d apps", s, len(g.apps))
		}
	})
}
