package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"picloud/app/cloud"
	"picloud/db"
)

// The smoke flow of the reference: a trigger whose script throws.
func TestFailingTriggerBecomesDeadLetterAndIsReplayed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.serve()()
		var at []time.Time
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			at = append(at, time.Now())
			return throw("boom")
		})
		b.kvTrigger(s)
		b.emitKV("k")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if len(at) != 3 || at[1].Sub(at[0]) < time.Second || at[1].Sub(at[0]) > 1100*time.Millisecond || at[2].Sub(at[1]) < 2*time.Second || at[2].Sub(at[1]) > 2100*time.Millisecond {
			t.Fatalf("attempts at %v, want three, one and two seconds apart", at)
		}
		letters := b.letters(DeadLetterFilter{Unresolved: true})
		if len(letters) != 1 || len(letters[0].Attempts) != 3 || letters[0].LastError != "boom (s.js:1:2)" {
			t.Fatalf("letters: got %+v, want one with three attempts", letters)
		}
		first := letters[0]
		if n, err := b.CountUnresolved(t.Context(), b.app); n != 1 || err != nil {
			t.Errorf("badge: got %d, %v, want 1", n, err)
		}
		if x, err := b.Event(t.Context(), first.OriginalEventID); err != nil || x.Status != cloud.StatusDead || x.DeadLetterID != first.ID {
			t.Errorf("event: got %+v, %v, want dead", x, err)
		}

		if err := b.Replay(t.Context(), b.app, first.ID); err != nil {
			t.Fatal(err)
		}
		wantError(t, b.Replay(t.Context(), b.app, first.ID), cloud.Conflict, "replayed")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		letters = b.letters(DeadLetterFilter{Unresolved: true})
		if len(letters) != 1 || letters[0].ID == first.ID || len(letters[0].Attempts) != 3 {
			t.Fatalf("letters after the replay: got %+v, want one new one with three attempts", letters)
		}
		again := letters[0]
		if again.RootExecutionID != first.RootExecutionID || again.Depth != first.Depth || string(again.Payload) != string(first.Payload) {
			t.Errorf("the replayed event differs: got %+v, want root, depth and payload of %+v", again, first)
		}
		if old, err := b.DeadLetter(t.Context(), b.app, first.ID); err != nil || old.Resolution != Replayed || old.ResolvedAt == 0 {
			t.Errorf("first letter: got %+v, %v, want replayed", old, err)
		}

		if err := b.Resolve(t.Context(), b.app, again.ID, "known"); err != nil {
			t.Fatal(err)
		}
		if x, _ := b.DeadLetter(t.Context(), b.app, again.ID); x.Resolution != Ignored || x.Reason != "known" {
			t.Errorf("resolved letter: got %+v, want ignored", x)
		}
		wantError(t, b.Resolve(t.Context(), b.app, again.ID, ""), cloud.Conflict, "ignored")
		if n := len(b.records()); n != 6 {
			t.Errorf("executions recorded: got %d, want 6", n)
		}
		b.gate.allFree(t)
	})
}

func TestLoopStopsAtTheDepthLimit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.serve()()
		var s cloud.ScriptID
		s = b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			return ok(apply(func(ctx context.Context, tx *db.Tx) error {
				return b.Emit(ctx, tx, cloud.Origin{App: b.app, Execution: inv.ID, Root: inv.Root, Depth: inv.Depth}, kvEvent("k"))
			}))
		})
		tr := b.kvTrigger(s)
		res := b.Do(t.Context(), b.invocation(s))
		if res.Err != nil {
			t.Fatal(res.Err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		runs := b.records()
		slices.SortFunc(runs, func(x, y record) int { return x.inv.Depth - y.inv.Depth })
		if len(runs) != 9 {
			t.Errorf("runs: got %d, want 9 (depths 0 to 8)", len(runs))
		}
		for i, r := range runs {
			if r.inv.Depth != i || r.inv.Root != runs[0].inv.ID || i > 0 && r.inv.Parent != runs[i-1].inv.ID {
				t.Errorf("run %d: depth %d, root %s, parent %s", i, r.inv.Depth, r.inv.Root, r.inv.Parent)
			}
		}
		if n := b.count(`SELECT count(*) FROM dead_letters`) + b.count(`SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("rows and letters left: got %d, want 0", n)
		}
		if got := testutil.ToFloat64(b.metrics.tooDeep.WithLabelValues(b.app.String(), tr.ID.String())); got != 1 {
			t.Errorf("picloud_trigger_depth_exceeded_total: got %v, want 1", got)
		}
	})
}

// An alert on the increase of picloud_dead_letters_total missed an app's first dead letter: the
// series began with it. It begins with the app's first attempt now, and ends with the app.
func TestFailuresAreCountedFromZero(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.serve()()
		b.kvTrigger(b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) }))
		b.emitKV("k")
		synctest.Wait()
		total := `# HELP picloud_dead_letters_total Rows that used up their attempts.
			# TYPE picloud_dead_letters_total counter
			picloud_dead_letters_total{app="%s",source="kv"} 0
			`
		unresolved := `# HELP picloud_dead_letters_unresolved Dead letters that are open.
			# TYPE picloud_dead_letters_unresolved gauge
			picloud_dead_letters_unresolved{app="%s"} 0
			`
		if err := errors.Join(
			testutil.CollectAndCompare(b.metrics.deadLetters, strings.NewReader(fmt.Sprintf(total, b.app))),
			testutil.CollectAndCompare(b.metrics.gauges, strings.NewReader(fmt.Sprintf(unresolved, b.app)), "picloud_dead_letters_unresolved"),
		); err != nil {
			t.Error(err)
		}
		counters := []*prometheus.CounterVec{b.metrics.deadLetters, b.metrics.handlerFailures, b.metrics.abandoned, b.metrics.reruns}
		for _, n := range []int{1, 0} {
			for i, c := range counters {
				if got := testutil.CollectAndCount(c); got != n {
					t.Errorf("counter %d: got %d series, want %d", i, got, n)
				}
			}
			b.ForgetApp(b.app)
		}
	})
}

func TestDeadLetterHandlers(t *testing.T) {
	tests := []struct {
		name       string
		handler    script
		missing    bool
		resolution string
		open       bool
		failures   float64
	}{
		{"success", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("handled")) }, false, HandledByScript, false, 0},
		{"failure", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return throw("broken") }, false, HandlerFailed, true, 1},
		{"missing script", nil, true, HandlerFailed, true, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := open(t, nil)
				defer b.serve()()
				bad := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return throw("boom") })
				runs := 0
				var seen cloud.Invocation
				h := b.script(b.app, func(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
					runs++
					seen = *inv
					return tt.handler(ctx, inv)
				})
				if tt.missing {
					b.mu.Lock()
					delete(b.code, h)
					b.mu.Unlock()
				}
				b.kvTrigger(bad)
				b.trigger(&cloud.Trigger{ScriptID: h, Kind: cloud.SourceDeadLetter, DeadLetter: &cloud.DeadLetterFilter{SourceFilter: cloud.SourceKV}})
				b.emitKV("k")
				time.Sleep(time.Minute)
				synctest.Wait()
				letters := b.letters(DeadLetterFilter{})
				if len(letters) != 1 {
					t.Fatalf("letters: got %d, want 1", len(letters))
				}
				if l := letters[0]; l.Resolution != tt.resolution || l.ResolvedAt.IsZero() != tt.open {
					t.Errorf("letter: got resolution %q, resolved_at %v; want %q, open %v", l.Resolution, l.ResolvedAt, tt.resolution, tt.open)
				}
				if !tt.missing && (runs != 1 || !seen.Handler || seen.Depth != 1) {
					t.Errorf("handler: got %d runs, %+v; want one, at depth 1", runs, seen)
				}
				if got := testutil.ToFloat64(b.metrics.handlerFailures.WithLabelValues(b.app.String())); got != tt.failures {
					t.Errorf("handler failures: got %v, want %v", got, tt.failures)
				}
				if tt.open {
					if err := b.Replay(t.Context(), b.app, letters[0].ID); err != nil {
						t.Errorf("replay of a letter whose handler failed: %v", err)
					}
				}
			})
		})
	}
}

// Every failure path ends in a letter that tells why.
func TestHopelessRowsAreDeadAtOnce(t *testing.T) {
	tests := []struct {
		name     string
		prepare  func(b *box, tr *cloud.Trigger)
		reason   string
		attempts int
	}{
		{"trigger deleted", func(b *box, tr *cloud.Trigger) {
			if err := b.DeleteTrigger(context.Background(), b.app, tr.ID); err != nil {
				b.t.Fatal(err)
			}
		}, "the trigger was deleted", 1},
		{"script deleted", func(b *box, tr *cloud.Trigger) { b.dropScript(tr.ScriptID) }, "the script was deleted", 1},
		{"registrant gone", func(b *box, tr *cloud.Trigger) { b.users[b.user] = cloud.Errorf(cloud.NotFound, "gone") }, "is gone", 1},
		{"registrant inactive", func(b *box, tr *cloud.Trigger) { b.users[b.user] = cloud.Errorf(cloud.Forbidden, "inactive") }, "is inactive", 3},
		{"payload damaged", func(b *box, tr *cloud.Trigger) {
			b.update(func(tx *db.Tx) error { _, err := tx.Exec(`UPDATE outbox SET payload = '{"half'`); return err })
		}, "can't be decoded", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				b := open(t, nil)
				tr := b.kvTrigger(b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("ran")) }))
				b.emitKV("k")
				tt.prepare(b, tr)
				defer b.serve()()
				time.Sleep(time.Minute)
				synctest.Wait()
				letters := b.letters(DeadLetterFilter{})
				if len(letters) != 1 || len(letters[0].Attempts) != tt.attempts {
					t.Fatalf("letters: got %+v, want one with %d attempts", letters, tt.attempts)
				}
				wantError(t, cloud.Errorf(cloud.Invalid, "%s", letters[0].LastError), cloud.Invalid, tt.reason)
				if n := b.counted("ran"); n != 0 {
					t.Errorf("the script ran %d times, want never", n)
				}
				if n := len(b.records()); n != tt.attempts {
					t.Errorf("recorded: got %d, want %d", n, tt.attempts)
				}
				b.gate.allFree(t)
			})
		})
	}
}

func TestSubmittedRequestRunsLater(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		var seen *cloud.Invocation
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			seen = inv
			return ok(counts("ran"))
		})
		inv := b.invocation(s)
		inv.Route = cloud.NewID[cloud.RouteID]()
		if err := b.Submit(t.Context(), inv); err != nil {
			t.Fatal(err)
		}
		x, err := b.Event(t.Context(), cloud.RowID(inv.ID))
		if err != nil || x.Status != cloud.StatusQueued || x.RootExecutionID != inv.ID {
			t.Errorf("event before: got %+v, %v, want queued", x, err)
		}
		b.onRecord = func() {
			if x, err := b.Event(context.Background(), cloud.RowID(inv.ID)); err != nil || x.Status != cloud.StatusRunning {
				t.Errorf("event after its commit and before it is in the log: got %+v, %v, want running", x, err)
			}
		}
		stop := b.serve()
		synctest.Wait()
		stop()
		if seen == nil || seen.Request.Path != "/x" || seen.Route != inv.Route || seen.Row != cloud.RowID(inv.ID) || seen.Root != inv.ID || seen.ID == inv.ID || seen.Principal != nil {
			t.Errorf("invocation: got %+v", seen)
		}
		if _, err := b.Event(t.Context(), cloud.RowID(inv.ID)); cloud.KindOf(err) != cloud.NotFound {
			t.Errorf("event after: got %v, want not_found", err)
		}
		if n := b.counted("ran"); n != 1 {
			t.Errorf("effects: got %d, want 1", n)
		}
	})
}
