package outbox

import (
	"context"
	"encoding/json"
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

// send puts a message into queue q, as a person does.
func (b *box) send(body string, change ...func(*QueueInput)) cloud.RowID {
	b.t.Helper()
	m := QueueInput{Queue: "q", Body: json.RawMessage(`"` + body + `"`)}
	for _, f := range change {
		f(&m)
	}
	id, _, err := b.Send(context.Background(), cloud.Origin{App: b.app, Principal: b.user}, m)
	if err != nil {
		b.t.Fatal(err)
	}
	return id
}

func key(k string) func(*QueueInput)          { return func(m *QueueInput) { m.Key = k } }
func delay(d time.Duration) func(*QueueInput) { return func(m *QueueInput) { m.Delay = d } }
func dedup(id string) func(*QueueInput)       { return func(m *QueueInput) { m.DeduplicationID = id } }
func (b *box) patch(id cloud.TriggerID, p TriggerPatch) {
	b.t.Helper()
	if _, err := b.UpdateTrigger(context.Background(), b.app, id, p); err != nil {
		b.t.Fatal(err)
	}
}

// consume creates the trigger of queue q.
func (b *box) consume(s cloud.ScriptID, f cloud.QueueFilter) *cloud.Trigger {
	b.t.Helper()
	f.Name = "q"
	return b.trigger(&cloud.Trigger{ScriptID: s, Kind: cloud.SourceQueue, Queue: &f, RetryMaxAttempts: 3, RetryBackoff: Constant, RetryBaseMS: 10_000})
}

// received is what a handler was given.
func received(t testing.TB, inv *cloud.Invocation) []message {
	t.Helper()
	var ev queueEvent
	if err := json.Unmarshal(inv.Event, &ev); err != nil || ev.Source != "queue" || ev.Op != "receive" || ev.Queue.Name != "q" {
		t.Errorf("event: got %s (%v)", inv.Event, err)
	}
	return ev.Queue.Messages
}

// bodies are the messages as text: a, b2 for the second attempt of b, …
func bodies(messages []message) string {
	var list []string
	for _, m := range messages {
		text := strings.Trim(string(m.Body), `"`)
		if m.Attempt > 1 {
			text += fmt.Sprint(m.Attempt)
		}
		list = append(list, text)
	}
	return strings.Join(list, "+")
}

// The life of a queue: messages wait for a trigger, for their time and while it is paused or
// disabled; none of that wakes anybody or costs an attempt.
func TestQueue(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			said.add("%s", bodies(received(t, inv)))
			if inv.Principal == nil || inv.Principal.User != b.user || inv.Trigger.IsZero() {
				t.Errorf("ran as %+v for trigger %s", inv.Principal, inv.Trigger)
			}
			return ok(counts("n"))
		})
		defer b.serve()()
		check := func(when, want string) {
			t.Helper()
			synctest.Wait()
			if got := said.all(); got != want {
				t.Errorf("%s: got %q, want %q", when, got, want)
			}
		}
		b.send("a")
		b.send("b", delay(time.Hour))
		time.Sleep(2 * time.Hour)
		check("without a trigger", "")
		trigger := b.consume(s, cloud.QueueFilter{Concurrency: 1})
		check("with one", "a b")
		b.send("c", delay(time.Hour))
		time.Sleep(59 * time.Minute)
		check("before its time", "a b")
		time.Sleep(time.Minute)
		check("at its time", "a b c")

		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(b.Pause(t.Context(), b.app, "q"))
		b.send("d")
		time.Sleep(time.Hour)
		check("paused", "a b c")
		must(b.Resume(t.Context(), b.app, "q"))
		check("resumed", "a b c d")
		no, yes := false, true
		b.patch(trigger.ID, TriggerPatch{Enabled: &no})
		b.send("e")
		time.Sleep(time.Hour)
		check("disabled", "a b c d")
		b.patch(trigger.ID, TriggerPatch{Enabled: &yes})
		check("enabled", "a b c d e")
		must(b.DeleteTrigger(t.Context(), b.app, trigger.ID))
		b.send("f")
		time.Sleep(time.Hour)
		check("its trigger deleted", "a b c d e")
		b.consume(s, cloud.QueueFilter{})
		check("with another one", "a b c d e f")
		b.dropScript(s)
		b.send("g")
		time.Sleep(time.Hour)
		if n := b.count(`SELECT count(*) FROM outbox WHERE attempt_count = 0 AND claimed_at IS NULL`); n != 1 {
			t.Error("a message whose trigger went with its script is gone")
		}
		if n := b.counted("n"); n != 6 || len(b.letters(DeadLetterFilter{})) != 0 {
			t.Errorf("effects: got %d, want 6; letters: %v", n, b.letters(DeadLetterFilter{}))
		}
	})
}

func TestQueuePauseSurvivesARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		b.consume(s, cloud.QueueFilter{})
		if err := b.Pause(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		b.send("a")
		b = b.crash()
		defer b.serve()()
		time.Sleep(10 * time.Minute)
		if n := b.counted("n"); n != 0 {
			t.Errorf("messages taken from a paused queue: got %d, want 0", n)
		}
		if err := b.Resume(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if n := b.counted("n"); n != 1 {
			t.Errorf("messages taken after resume: got %d, want 1", n)
		}
	})
}

// A message that was sent before the process started is taken after it.
func TestQueueAfterARestart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		b.consume(s, cloud.QueueFilter{})
		b.send("a")
		b.send("b", delay(time.Hour))
		b = b.crash()
		defer b.serve()()
		time.Sleep(59 * time.Minute)
		if n := b.counted("n"); n != 1 {
			t.Errorf("before b is due: got %d, want 1", n)
		}
		time.Sleep(2 * time.Minute)
		if n := b.counted("n"); n != 2 {
			t.Errorf("after b was due: got %d, want 2", n)
		}
	})
}

// Each message of a batch has attempts, a history and an end of its own.
func TestQueueBatches(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			messages := received(t, inv)
			said.add("%s", bodies(messages))
			if len(messages) != 1+len(inv.Batch) {
				t.Errorf("messages: got %d, with a batch of %d", len(messages), len(inv.Batch))
			}
			if slices.ContainsFunc(messages, func(m message) bool { return string(m.Body) == `"bad"` }) {
				return throw("boom")
			}
			return ok(counts("n"))
		})
		for _, body := range []string{"a", "bad", "b", "c", "d"} {
			b.send(body)
		}
		b.consume(s, cloud.QueueFilter{BatchSize: 3, Concurrency: 1})
		stop := b.serve()
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := said.all(); got != "a+bad+b c+d" {
			t.Errorf("at first: got %q, want a+bad+b c+d", got)
		}
		b.send("e", delay(5*time.Second))
		time.Sleep(5 * time.Second)
		synctest.Wait()
		time.Sleep(time.Minute)
		synctest.Wait()
		stop()
		letters := b.letters(DeadLetterFilter{Source: "queue"})
		for _, l := range letters {
			var ev queueEvent
			if err := json.Unmarshal(l.Payload, &ev); err != nil || len(ev.Queue.Messages) != 1 || ev.Queue.Messages[0].ID != l.OriginalEventID || ev.Queue.Messages[0].Attempt != 3 {
				t.Errorf("payload of a letter: got %s (%v)", l.Payload, err)
			}
			if len(l.Attempts) != 3 || l.Attempts[0].ExecutionID == l.Attempts[1].ExecutionID || l.TriggerID.IsZero() || l.ScriptID != s {
				t.Errorf("letter: got %+v", l)
			}
		}
		// The first executions may be recorded in any order.
		if len(letters) == 0 || !slices.ContainsFunc(b.records()[:2], func(r record) bool { return r.inv.ID == letters[0].Attempts[0].ExecutionID }) {
			t.Errorf("%d letters; the first attempt isn't one of the first executions", len(letters))
		}
		if n := b.count(`SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("messages left: got %d, want 0", n)
		}
	})
}

// A handler may give back some of a batch, and acknowledges the others.
func TestQueuePartOfABatch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		var answer atomic.Value
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			messages := received(t, inv)
			said.add("%s", bodies(messages))
			res, eff := ok(counts("n"))
			res.Body = fmt.Appendf(nil, answer.Load().(string), messages[len(messages)-1].ID)
			return res, eff
		})
		b.consume(s, cloud.QueueFilter{BatchSize: 10})
		defer b.serve()()
		for i, tt := range []struct {
			name, answer, want string
			effects            int
		}{
			{"the last one", `{"failed":[%q]}`, "a+b b2 b3", 3},
			{"none", `{"failed":[],"id":%q}`, "a+b", 1},
			{"of another batch", `{"failed":["0198c0de-0000-7000-8000-000000000000"],"id":%q}`, "a+b a2+b2 a3+b3", 0},
			{"no list", `{"failed":{"a":%q}}`, "a+b a2+b2 a3+b3", 0},
			{"no ids", `{"failed":[1],"id":%q}`, "a+b a2+b2 a3+b3", 0},
			{"null", `{"failed":null,"id":%q}`, "a+b", 1},
			{"in a text", `"{\"failed\": %[1]v}"`, "a+b", 1},
		} {
			before := b.counted("n")
			said.mu.Lock()
			said.lines = nil
			said.mu.Unlock()
			answer.Store(tt.answer)
			b.update(func(tx *db.Tx) error { // in one commit, so that they come together
				for _, body := range []string{"a", "b"} {
					if _, _, err := b.SendTx(tx, cloud.Origin{App: b.app}, QueueInput{Queue: "q", Body: json.RawMessage(`"` + body + `"`)}); err != nil {
						return err
					}
				}
				return nil
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			if got := said.all(); got != tt.want || b.counted("n")-before != tt.effects {
				t.Errorf("%d %s: got %q and %d effects, want %q and %d", i, tt.name, got, b.counted("n")-before, tt.want, tt.effects)
			}
		}
	})
}

func TestQueueConcurrency(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var mu sync.Mutex
		now, most := 0, 0
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			now--
			mu.Unlock()
			return ok(counts("n"))
		})
		for i := range 9 {
			b.send(fmt.Sprint(i))
		}
		b.consume(s, cloud.QueueFilter{Concurrency: 3})
		defer b.serve()()
		time.Sleep(2500 * time.Millisecond)
		synctest.Wait()
		q, _, err := b.Queues(t.Context(), b.app, cloud.Page{})
		if err != nil || len(q) != 1 || q[0].InFlight != 3 || q[0].Length != 3 {
			t.Errorf("queue: got %+v, %v, want 3 messages, all in flight", q, err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if most != 3 || b.counted("n") != 9 {
			t.Errorf("at once: got %d, want 3; done: %d, want 9", most, b.counted("n"))
		}
	})
}

// A worker that holds a message for longer than the visibility timeout loses it, and commits
// nothing.
func TestQueueVisibilityTimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			said.add("%s", bodies(received(t, inv)))
			if inv.Attempt == 1 {
				time.Sleep(time.Minute) // deaf to ctx
				if ctx.Err() == nil {
					t.Error("the execution was not told to end")
				}
				return ok(counts("late"))
			}
			return ok(counts("n"))
		})
		b.consume(s, cloud.QueueFilter{VisibilityTimeoutSeconds: 5, BatchSize: 2})
		b.send("a")
		b.send("b")
		defer b.serve()()
		time.Sleep(4 * time.Second)
		if m, _, err := b.Messages(t.Context(), b.app, "q", cloud.Page{}); err != nil || m[0].State != stateRunning {
			t.Errorf("after 4 s: got %+v, %v, want a running message", m, err)
		}
		time.Sleep(12 * time.Second) // 5 s until it is visible, 10 s until the retry
		synctest.Wait()
		if got := said.all(); got != "a+b a2+b2" || b.counted("n") != 1 {
			t.Errorf("got %q with %d effects, want a+b a2+b2 with 1", got, b.counted("n"))
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if b.counted("late") != 0 || b.count(`SELECT count(*) FROM outbox`) != 0 || len(b.letters(DeadLetterFilter{})) != 0 {
			t.Errorf("late effects: got %d, want 0", b.counted("late"))
		}
		b.gate.allFree(t)
	})
}

func TestQueueKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			m := received(t, inv)
			said.add("%s", bodies(m))
			for i := range m {
				for j := range i {
					if m[i].Key == m[j].Key {
						t.Errorf("two messages of key %s in one batch", m[i].Key)
					}
				}
			}
			if bodies(m) == "x1" { // the first attempt
				return throw("boom")
			}
			return ok(nil)
		})
		b.consume(s, cloud.QueueFilter{BatchSize: 1, Concurrency: 8})
		defer b.serve()()
		for _, m := range []string{"x1", "y1", "x2", "y2", "x3"} {
			b.send(m, key(m[:1]))
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if got := strings.Fields(said.all()); slices.Contains(got, "x2") || !slices.Contains(got, "y2") {
			t.Errorf("while x1 waits for its retry: got %v", got)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		var order []string
		for s := range strings.FieldsSeq(said.all()) {
			if s[0] == 'x' {
				order = append(order, s)
			}
		}
		if got := strings.Join(order, " "); got != "x1 x12 x2 x3" {
			t.Errorf("got %q, want x1 x12 x2 x3", got)
		}
	})
}

func TestQueueDeduplication(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		first := b.send("a", dedup("1"))
		if again := b.send("b", dedup("1")); again != first {
			t.Errorf("a second message got id %s, want that of the first, %s", again, first)
		}
		b.send("c", dedup("2"))
		b.send("d", dedup("1"), func(m *QueueInput) { m.Queue = "other" })
		if n := b.count(`SELECT count(*) FROM outbox`); n != 3 {
			t.Errorf("messages: got %d, want 3", n)
		}
		if id, ok, err := b.Duplicate(t.Context(), b.app, "q", "1"); err != nil || !ok || id != first {
			t.Errorf("Duplicate: got %s, %v, %v", id, ok, err)
		}
		time.Sleep(4*time.Minute + 59*time.Second)
		if again := b.send("e", dedup("1")); again != first {
			t.Error("the window ended early")
		}
		time.Sleep(2 * time.Second)
		if again := b.send("f", dedup("1")); again == first {
			t.Error("the window didn't end")
		}
		defer b.serve()()
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		if n := b.count(`SELECT count(*) FROM queue_deduplication`); n != 0 {
			t.Errorf("deduplication ids after a sweep: got %d, want 0", n)
		}
	})
}

func TestQueueHasOneTrigger(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	s := b.script(b.app, nil)
	first := b.consume(s, cloud.QueueFilter{})
	make := func(queue string) (*cloud.Trigger, error) {
		x := &cloud.Trigger{AppID: b.app, ScriptID: s, Kind: cloud.SourceQueue, Enabled: true, RegisteredByPrincipal: b.user, Queue: &cloud.QueueFilter{Name: queue}}
		return x, b.CreateTrigger(t.Context(), x)
	}
	_, err := make("q")
	wantError(t, err, cloud.Conflict, "has a trigger already")
	second, err := make("r")
	if err != nil {
		t.Fatal(err)
	}
	q := "q"
	_, err = b.UpdateTrigger(t.Context(), b.app, second.ID, TriggerPatch{FilterPatch: FilterPatch{QueuePatch: QueuePatch{Queue: &q}}})
	wantError(t, err, cloud.Conflict, "has a trigger already")
	if err := b.DeleteTrigger(t.Context(), b.app, first.ID); err != nil {
		t.Fatal(err)
	}
	if _, err = make("q"); err != nil {
		t.Error(err)
	}
	for name, f := range map[string]cloud.QueueFilter{
		"empty":       {},
		"too long":    {Name: strings.Repeat("q", 129)},
		"UTF-8":       {Name: "\xff"},
		"batch_size":  {Name: "x", BatchSize: 101},
		"concurrency": {Name: "x", Concurrency: -1},
		"visibility":  {Name: "x", VisibilityTimeoutSeconds: 43201},
	} {
		err := b.CreateTrigger(t.Context(), &cloud.Trigger{AppID: b.app, ScriptID: s, Kind: cloud.SourceQueue, RegisteredByPrincipal: b.user, Queue: &f})
		if cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func TestQueueOnAFullDisk(t *testing.T) {
	t.Parallel()
	b := open(t, func(o *Options) {
		o.Accept = func() error { return cloud.Errorf(cloud.Overloaded, "the disk is nearly full") }
	})
	_, _, err := b.Send(t.Context(), cloud.Origin{App: b.app}, QueueInput{Queue: "q", Body: json.RawMessage(`1`)})
	wantError(t, err, cloud.Overloaded, "nearly full")
}

func TestQueueChecks(t *testing.T) {
	t.Parallel()
	b := open(t, withQuota(cloud.Quotas{OutboxRows: 1}))
	for name, m := range map[string]QueueInput{
		"no name":     {Body: json.RawMessage(`1`)},
		"no message":  {Queue: "q"},
		"no JSON":     {Queue: "q", Body: json.RawMessage(`{`)},
		"not UTF-8":   {Queue: "q", Body: json.RawMessage("\"\xff\"")},
		"too large":   {Queue: "q", Body: json.RawMessage(`"` + strings.Repeat("x", MaxMessage-1) + `"`)},
		"long key":    {Queue: "q", Body: json.RawMessage(`1`), Key: strings.Repeat("k", 257)},
		"long dedup":  {Queue: "q", Body: json.RawMessage(`1`), DeduplicationID: strings.Repeat("k", 257)},
		"negative":    {Queue: "q", Body: json.RawMessage(`1`), Delay: -1},
		"in an age":   {Queue: "q", Body: json.RawMessage(`1`), Delay: MaxDelay + 1},
		"long name":   {Queue: strings.Repeat("q", 129), Body: json.RawMessage(`1`)},
		"name binary": {Queue: "\xff", Body: json.RawMessage(`1`)},
	} {
		_, _, err := b.Send(t.Context(), cloud.Origin{App: b.app}, m)
		if cloud.KindOf(err) != cloud.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
	b.send(strings.Repeat("x", MaxMessage-2))
	_, _, err := b.Send(t.Context(), cloud.Origin{App: b.app}, QueueInput{Queue: "q", Body: json.RawMessage(`1`), DeduplicationID: "x"})
	wantError(t, err, cloud.RateLimited, "quota")
	if n := b.count(`SELECT count(*) FROM queue_deduplication`); n != 0 {
		t.Error("a refused message left its deduplication id")
	}
	err = b.d.Update(t.Context(), func(_ context.Context, tx *db.Tx) error {
		_, _, err := b.SendTx(tx, cloud.Origin{App: b.app}, QueueInput{Queue: "q", Body: json.RawMessage(`1`)})
		return err
	})
	wantError(t, err, cloud.BudgetExceeded, "quota")
}

// What the operator sees of queues, and what purge leaves.
func TestQueuesListedAndPurged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		began := make(chan struct{}, 10)
		release := make(chan struct{})
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			began <- struct{}{}
			<-release
			return ok(nil)
		})
		trigger := b.consume(s, cloud.QueueFilter{Concurrency: 1})
		other := b.addApp("other")
		stop := b.serve()
		oldest := b.now()
		b.send("held", key("k"))
		<-began
		time.Sleep(time.Second)
		b.send("behind", key("k"))
		b.send("waits")
		b.send("later", delay(time.Hour), key("j"))
		b.send("behind later", key("j"))
		b.send("x", func(m *QueueInput) { m.Queue = "alone" })
		if err := b.Pause(t.Context(), b.app, "zz"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := b.Send(t.Context(), cloud.Origin{App: other}, QueueInput{Queue: "theirs", Body: json.RawMessage(`1`)}); err != nil {
			t.Fatal(err)
		}
		got := b.listed(2)
		want := []cloud.Queue{
			{Name: "alone", Length: 1, OldestAt: b.now()},
			{Name: "q", Length: 5, InFlight: 1, Delayed: 1, OldestAt: oldest, TriggerID: trigger.ID},
			{Name: "zz", Paused: true},
		}
		if !slices.Equal(got, want) {
			t.Errorf("queues:\n got %+v\nwant %+v", got, want)
		}
		rows, _, err := b.Rows(t.Context(), b.app, cloud.Page{})
		if err != nil || rows[0].State != stateRunning || rows[0].TriggerID != trigger.ID || rows[0].ScriptID != s || rows[0].Lane != "queue:q" || rows[0].Key != "k" {
			t.Errorf("the running row: got %+v, %v", rows[0], err)
		}
		if x, err := b.Event(t.Context(), rows[0].ID); err != nil || x.Status != cloud.StatusRunning || x.ScriptID != s {
			t.Errorf("its event: got %+v, %v", x, err)
		}
		var texts []string
		page := cloud.Page{Limit: 2}
		for {
			list, next, err := b.Messages(t.Context(), b.app, "q", page)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range list {
				texts = append(texts, string(m.Body)+m.State)
			}
			if page.Cursor = next; next == "" {
				break
			}
		}
		if got := strings.Join(texts, " "); got != `"held"running "behind"waiting "waits"waiting "later"waiting "behind later"waiting` {
			t.Errorf("messages: got %s", got)
		}

		if err := b.Purge(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		if got := b.listed(50)[1]; got.Length != 1 || got.InFlight != 1 {
			t.Errorf("after a purge: got %+v, want what is in flight", got)
		}
		b.send("after", key("k"))
		close(release)
		synctest.Wait()
		if n := b.count(`SELECT count(*) FROM outbox WHERE lane = 'queue:q'`); n != 0 {
			t.Errorf("messages left: got %d, want 0", n)
		}
		stop()
		if got := b.listed(50)[1]; got != (cloud.Queue{Name: "q", TriggerID: trigger.ID}) {
			t.Errorf("when all is done: got %+v", got)
		}
	})
}

// A purge of more than a batch, with keys, leaves nothing that waits for nobody.
func TestPurgeOfMany(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		for i := range purgeBatch + 100 {
			b.send("x", key(fmt.Sprint(i%7)))
		}
		if err := b.Purge(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		if n := b.count(`SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("messages left: got %d, want 0", n)
		}
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		b.consume(s, cloud.QueueFilter{})
		b.send("y", key("1"))
		defer b.serve()()
		synctest.Wait()
		if n := b.counted("n"); n != 1 {
			t.Errorf("messages taken after the purge: got %d, want 1", n)
		}
	})
}

// listed are all queues of the app, in pages of n.
func (b *box) listed(n int) (all []cloud.Queue) {
	b.t.Helper()
	page := cloud.Page{Limit: n}
	for {
		list, next, err := b.Queues(context.Background(), b.app, page)
		if err != nil {
			b.t.Fatal(err)
		}
		for _, q := range list {
			all = append(all, *q)
		}
		if page.Cursor = next; next == "" {
			return all
		}
	}
}

// A dead message goes back to its queue, behind what has its key.
func TestQueueDeadLetters(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var said said
		var mended atomic.Bool
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			m := received(t, inv)
			said.add("%s", bodies(m))
			if !mended.Load() && bodies(m)[0] == 'x' {
				return throw("boom")
			}
			return ok(nil)
		})
		b.consume(s, cloud.QueueFilter{})
		defer b.serve()()
		sent := b.now()
		id := b.send("x", key("k"))
		b.send("y", key("k"))
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := said.all(); got != "x x2 x3 y" {
			t.Errorf("got %q, want x x2 x3 y", got)
		}
		if err := b.Pause(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		b.send("z", key("k"))
		letters := b.letters(DeadLetterFilter{})
		if len(letters) != 1 || letters[0].OriginalEventID != id {
			t.Fatalf("letters: got %+v, want that of x", letters)
		}
		if x, err := b.Event(t.Context(), id); err != nil || x.Status != cloud.StatusDead {
			t.Errorf("event: got %+v, %v, want a dead one", x, err)
		}
		mended.Store(true)
		if err := b.Replay(t.Context(), b.app, letters[0].ID); err != nil {
			t.Fatal(err)
		}
		list, _, err := b.Messages(t.Context(), b.app, "q", cloud.Page{})
		if err != nil || len(list) != 2 || list[1].ID != id || list[1].Key != "k" || list[1].EnqueuedAt != sent || string(list[1].Body) != `"x"` {
			t.Errorf("replayed: got %+v, %v", list, err)
		}
		if err := b.Resume(t.Context(), b.app, "q"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if got := said.all(); got != "x x2 x3 y z x" {
			t.Errorf("got %q, want x x2 x3 y z x", got)
		}
	})
}

// A script that is deleted while its message is taken costs the message nothing.
func TestQueueScriptDeletedInFlight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) })
		b.consume(s, cloud.QueueFilter{})
		b.mu.Lock()
		delete(b.code, s) // gone for the runner, not yet for the database
		b.mu.Unlock()
		b.send("a")
		stop := b.serve()
		time.Sleep(time.Millisecond)
		b.dropScript(s)
		time.Sleep(time.Hour)
		stop()
		if n := b.count(`SELECT count(*) FROM outbox WHERE attempt_count = 0 AND claimed_at IS NULL`); n != 1 {
			t.Errorf("messages that wait untried: got %d, want 1", n)
		}
		again := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		b = b.crash()
		b.consume(again, cloud.QueueFilter{})
		defer b.serve()()
		synctest.Wait()
		if n := b.counted("n"); n != 1 {
			t.Errorf("effects: got %d, want 1", n)
		}
	})
}

// Crash by crash, each message is applied once or is dead, whatever its batch went through.
func TestQueueCrashes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var turn atomic.Int64
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			time.Sleep(time.Duration(turn.Add(1)%4) * 10 * time.Millisecond)
			if turn.Load()%5 == 0 {
				return throw("x")
			}
			messages := received(t, inv)
			return ok(apply(func(ctx context.Context, tx *db.Tx) error {
				for _, m := range messages {
					if err := counts(m.ID.String())(ctx, tx); err != nil {
						return err
					}
				}
				return nil
			}))
		})
		trigger := b.consume(s, cloud.QueueFilter{BatchSize: 3})
		most := 100
		b.patch(trigger.ID, TriggerPatch{RetryMaxAttempts: &most})
		var ids []cloud.RowID
		for range 8 {
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan struct{})
			old := b
			go func() { defer close(served); old.Serve(ctx) }()
			for i := range 12 {
				ids = append(ids, b.send("m", func(m *QueueInput) {
					if i%2 == 0 {
						m.Key = fmt.Sprint(i % 4)
					}
				}))
				time.Sleep(7 * time.Millisecond)
			}
			b = old.crash()
			if err := b.release(t.Context()); err != nil {
				t.Fatal(err)
			}
			cancel()
			<-served
		}
		defer b.serve()()
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := b.count(`SELECT count(*) FROM outbox`) + b.count(`SELECT count(*) FROM dead_letters`); n != 0 {
			t.Errorf("messages and letters left: got %d, want 0", n)
		}
		for _, id := range ids {
			if n := b.counted(id.String()); n != 1 {
				t.Errorf("message %s was applied %d times", id, n)
			}
		}
	})
}
