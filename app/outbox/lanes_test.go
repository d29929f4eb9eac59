package outbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// said collects what rows say when they run.
type said struct {
	mu    sync.Mutex
	lines []string
}

func (s *said) add(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lines = append(s.lines, fmt.Sprintf(format, args...))
}

func (s *said) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.lines, " ")
}

// message puts a message into the box, as an execution does.
func (b *box) message(m Message) cloud.RowID {
	b.t.Helper()
	m.Source = cmpOr(m.Source, "test")
	m.Payload = []byte(cmpOr(string(m.Payload), `{}`))
	var id cloud.RowID
	b.update(func(tx *db.Tx) (err error) {
		id, err = b.Enqueue(tx, cloud.Origin{App: b.app, Principal: b.user}, m)
		return err
	})
	return id
}

func cmpOr(s, or string) string {
	if s == "" {
		return or
	}
	return s
}

// sender runs rows of source "test" in the lanes of hosts.
func sender(f Sender) func(*Options) {
	return func(o *Options) { o.Senders = map[string]Sender{"test": f} }
}

func TestRowsOfAKeyRunInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			said.add("%s%d", inv.Op, inv.Attempt)
			time.Sleep(time.Second)
			if inv.Op == "a1" && inv.Attempt < 3 || inv.Op == "b1" {
				return throw("boom")
			}
			return ok(counts(inv.Op))
		})
		for _, op := range []string{"a1", "b1", "a2", "b2", "a3", "none"} {
			m := Message{Op: op, Script: s, Retry: Retry{3, Constant, 10_000, 0}}
			if key := op[:1]; key != "n" {
				m.Key = key
			}
			b.message(m)
		}
		if n := b.count(`SELECT count(*) FROM outbox WHERE blocked = 1`); n != 3 {
			t.Errorf("blocked rows: got %d, want 3", n)
		}
		defer b.serve()()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := b.counted("none"); got != 1 {
			t.Error("a row without a key waited for those with one")
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		for _, key := range []string{"a", "b"} {
			var got []string
			for l := range strings.FieldsSeq(said.all()) {
				if l[:1] == key {
					got = append(got, l)
				}
			}
			want := map[string]string{"a": "a11 a12 a13 a21 a31", "b": "b11 b12 b13 b21"}[key]
			if strings.Join(got, " ") != want {
				t.Errorf("key %s: got %v, want %s", key, got, want)
			}
		}
		if letters := b.letters(DeadLetterFilter{}); len(letters) != 1 || letters[0].Op != "b1" {
			t.Errorf("letters: got %+v, want that of b1", letters)
		}
		if n := b.count(`SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("rows left: got %d, want 0", n)
		}
	})
}

// A delayed or failed row keeps back those behind it; a cancelled one lets them go, and a
// replayed one takes its place at the end.
func TestWhatUnblocksAKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		var mended atomic.Bool
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			said.add("%s", inv.Op)
			if inv.Op == "bad" && !mended.Load() {
				return throw("boom")
			}
			time.Sleep(time.Second)
			return ok(nil)
		})
		defer b.serve()()
		send := func(op string, delay time.Duration) cloud.RowID {
			return b.message(Message{Op: op, Script: s, Key: "k", Delay: delay, Retry: Retry{1, Constant, 0, 0}})
		}
		first := send("late", time.Hour)
		send("bad", 0)
		time.Sleep(time.Minute)
		if got := said.all(); got != "" {
			t.Errorf("ran %q before the first row was due", got)
		}
		if err := b.Cancel(t.Context(), b.app, first); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := said.all(); got != "bad" {
			t.Errorf("after the cancel: got %q, want bad", got)
		}
		send("one", 0)
		send("two", 0)
		mended.Store(true)
		synctest.Wait()
		if err := b.Replay(t.Context(), b.app, b.letters(DeadLetterFilter{})[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := said.all(); got != "bad one two bad" {
			t.Errorf("got %q, want bad one two bad", got)
		}
	})
}

// After a crash a key's first row runs again before the others.
func TestKeysAfterACrash(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			said.add("%s%d", inv.Op, inv.Attempt)
			return ok(nil)
		})
		for _, op := range []string{"a", "b", "c"} {
			b.message(Message{Op: op, Script: s, Key: "k"})
		}
		if rows := b.claimAll(); len(rows) != 1 {
			t.Fatalf("claimed %d rows of one key, want 1", len(rows))
		}
		if held, err := b.held(t.Context()); err != nil || len(held) != 1 {
			t.Fatalf("held: got %v, %v, want one row", held, err)
		}
		b = b.crash()
		defer b.serve()()
		time.Sleep(time.Second)
		synctest.Wait()
		if got := said.all(); got != "a2 b1 c1" {
			t.Errorf("got %q, want a2 b1 c1", got)
		}
	})
}

func TestSenders(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var said said
		running := map[string]int{}
		var mu sync.Mutex
		count := func(host string, by int) {
			mu.Lock()
			defer mu.Unlock()
			if running[host] += by; running[host] > 1 {
				t.Errorf("two attempts at once to %s", host)
			}
		}
		b := open(t, sender(func(ctx context.Context, inv *cloud.Invocation) *cloud.Result {
			host := string(inv.Event)
			count(host, 1)
			defer count(host, -1)
			said.add("%s%d", inv.Op, inv.Attempt)
			time.Sleep(time.Second)
			switch {
			case inv.Op == "no":
				return &cloud.Result{Err: cloud.Errorf(cloud.Forbidden, "that address is refused")}
			case inv.Op == "later" && inv.Attempt == 1:
				return &cloud.Result{Err: &rateLimit{cloud.Errorf(cloud.RateLimited, "later"), 90 * time.Second}}
			case inv.Op == "slow":
				<-ctx.Done()
				return &cloud.Result{Err: ctx.Err()}
			}
			return &cloud.Result{StatusCode: 200}
		}))
		b.users[b.user] = cloud.Errorf(cloud.NotFound, "gone") // a sender acts for nobody
		b.gate.TryEnter(4)                                     // and needs no permit of the gate
		defer b.serve()()
		send := func(host, op string) {
			b.message(Message{Op: op, Lane: HTTPLane(host), Key: host, Payload: []byte(`"` + host + `"`), Retry: Retry{2, Constant, 60_000, 0}})
		}
		for _, op := range []string{"slow", "a", "no", "later", "b"} {
			send("x", op)
		}
		send("y", "other")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := said.all(); got != "slow1 other1" && got != "other1 slow1" {
			t.Errorf("at first: got %q, want slow1 and other1", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		said.mu.Lock()
		said.lines = slices.DeleteFunc(said.lines, func(s string) bool { return s == "other1" })
		said.mu.Unlock()
		if got := said.all(); got != "slow1 slow2 a1 no1 later1 later2 b1" {
			t.Errorf("got %q", got)
		}
		if letters := b.letters(DeadLetterFilter{}); len(letters) != 2 || letters[0].Op != "no" || letters[1].Op != "slow" {
			t.Errorf("letters: got %+v, want those of slow and no", letters)
		}
		records := b.records()
		if r := records[len(records)-1]; r.inv.Op != "b" || r.res.Err != nil || r.res.DurationMS != 1000 {
			t.Errorf("last record: got %+v", r)
		}
		for b.gate.TryEnter(1) > 0 { // all were taken
			t.Error("a sender gave back a permit that it never had")
		}
	})
}

// A held lane is left alone, also by the next process, and costs the others nothing.
func TestHoldLane(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var said said
		b := open(t, sender(func(_ context.Context, inv *cloud.Invocation) *cloud.Result {
			said.add("%s", inv.Op)
			return &cloud.Result{}
		}))
		stop := b.serve()
		hold := func(d time.Duration) {
			t.Helper()
			if err := b.HoldLane(t.Context(), b.app, HTTPLane("x"), b.now().Add(d)); err != nil {
				t.Fatal(err)
			}
		}
		hold(time.Hour)
		b.message(Message{Op: "x", Lane: HTTPLane("x")})
		b.message(Message{Op: "y", Lane: HTTPLane("y")})
		time.Sleep(time.Minute)
		stop()
		b = b.crash()
		defer b.serve()()
		time.Sleep(50 * time.Minute)
		synctest.Wait()
		if got := said.all(); got != "y" {
			t.Errorf("while x is held: got %q, want y", got)
		}
		if n := b.count(`SELECT attempt_count FROM outbox`); n != 0 {
			t.Errorf("attempts of the held row: got %d, want 0", n)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := said.all(); got != "y x" {
			t.Errorf("after the hold: got %q, want y x", got)
		}
		hold(time.Hour)
		b.message(Message{Op: "z", Lane: HTTPLane("x")})
		hold(0)
		synctest.Wait()
		if got := said.all(); got != "y x z" {
			t.Errorf("after letting go: got %q, want y x z", got)
		}
		hold(time.Minute)
		time.Sleep(3 * time.Hour)
		if n := b.count(`SELECT count(*) FROM held_lanes`); n != 0 {
			t.Errorf("holds that are over: got %d, want 0", n)
		}
	})
}

// Work without a trigger runs when it is due, as who caused it.
func TestMessagesWithoutATrigger(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			who := "nobody"
			if inv.Principal != nil && inv.Principal.User == b.user {
				who = "user"
			}
			said.add("%s:%s:%d:%s", inv.Op, who, inv.Depth, inv.Event)
			return ok(nil)
		})
		defer b.serve()()
		b.message(Message{Op: "user", Script: s, Delay: time.Hour})
		b.update(func(tx *db.Tx) error {
			from := cloud.Origin{App: b.app, Execution: cloud.NewID[cloud.ExecutionID](), Root: cloud.NewID[cloud.ExecutionID](), Depth: 2}
			_, err := b.Enqueue(tx, from, Message{Source: "test", Op: "public", Script: s, Payload: []byte(`1`)})
			return err
		})
		synctest.Wait()
		if got := said.all(); got != "public:nobody:3:1" {
			t.Errorf("got %q", got)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := said.all(); got != "public:nobody:3:1 user:user:0:{}" {
			t.Errorf("got %q", got)
		}
		b.mu.Lock()
		b.users[b.user] = cloud.Errorf(cloud.NotFound, "gone")
		b.mu.Unlock()
		b.message(Message{Op: "gone", Script: s})
		synctest.Wait()
		if letters := b.letters(DeadLetterFilter{}); len(letters) != 1 || !strings.Contains(letters[0].LastError, "gone") {
			t.Errorf("letters: got %+v, want one of the user who is gone", letters)
		}
		err := b.d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
			_, err := b.Enqueue(tx, cloud.Origin{App: b.app, Root: cloud.NewID[cloud.ExecutionID](), Depth: 8}, Message{Source: "test", Script: s})
			return err
		})
		wantError(t, err, cloud.BudgetExceeded, "8 deep")
	})
}

// Rows in lanes that nobody consumes wake nothing, and a claim doesn't see them.
func TestUnconsumedLanesAreQuiet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		queries := 0
		b := open(t, nil, func(o *db.Options) { o.Observe = func(db.CommitStats) { queries++ } })
		defer b.serve()()
		for i := range 100 {
			b.message(Message{Lane: QueueLane(fmt.Sprint(i))})
		}
		synctest.Wait()
		before := queries
		time.Sleep(time.Hour)
		synctest.Wait()
		if queries != before {
			t.Errorf("commits in an hour: got %d, want 0", queries-before)
		}
		if _, next := b.lanes.due(b.now(), 0, false); next != 0 {
			t.Error("the dispatcher would wake up for them")
		}
		found := 0
		err := b.d.View(t.Context(), func(_ context.Context, rx *db.Rx) error {
			return earliest(rx, func(laneID, cloud.Time) { found++ })
		})
		if err != nil || found != 0 {
			t.Errorf("a look at the table found %d lanes (%v), want none", found, err)
		}
	})
}
