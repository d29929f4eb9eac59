package outbox

import (
	"context"
	"database/sql"
	"fmt"
	"math/rand/v2"
	"os"
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

// fill inserts n due rows of an app, all for script s.
func (b *box) fill(app cloud.AppID, s cloud.ScriptID, n int) {
	b.t.Helper()
	b.update(func(tx *db.Tx) error {
		_, err := tx.Exec(`
			WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < ?)
			INSERT INTO outbox (id, app_id, source, op, script_id, trigger_depth, root_execution_id, retry_max_attempts, retry_backoff, retry_base_ms,
				next_attempt_at, created_at, payload)
			SELECT randomblob(16), ?, 'http', 'POST', ?, 0, randomblob(16), 3, 'constant', 0, ?, 0, '{"source":"http","op":"POST","http":{"path":"/"}}' FROM c`,
			n, app, s, tx.Now.UnixMilli())
		return err
	})
}

// The claim must run along the partial index: no sort of the backlog, no scan.
func TestClaimPlan(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	b.fill(b.app, cloud.NewID[cloud.ScriptID](), 1000)
	for _, query := range []string{
		strings.ReplaceAll(earliestOfLane, "?", "0"),
		strings.ReplaceAll(nextLane, "?", "0"),
		strings.ReplaceAll(claimRows, "?", "0"),
	} {
		var plan []string
		b.update(func(tx *db.Tx) error {
			rows, err := tx.Query(`EXPLAIN QUERY PLAN ` + query)
			if err != nil {
				return err
			}
			defer rows.Close()
			plan = nil
			for rows.Next() {
				var id, parent, unused int
				var detail string
				if err := rows.Scan(&id, &parent, &unused, &detail); err != nil {
					return err
				}
				plan = append(plan, detail)
			}
			return rows.Err()
		})
		text := strings.Join(plan, "\n")
		along := strings.Contains(text, "INDEX outbox_due (app_id=? AND lane=?") || strings.Contains(text, "INDEX outbox_due ((app_id,lane)>(?,?))")
		if !along || strings.Contains(text, "TEMP B-TREE") || strings.Contains(text, "SCAN outbox") {
			t.Errorf("plan of %s:\n%s", query, text)
		}
	}
}

// The next row with a key, and whether there is one, is a step along the index of keys.
func TestKeyPlan(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	for _, query := range []string{anyOfKey, unblockNext} {
		var plan []string
		b.update(func(tx *db.Tx) error {
			rows, err := tx.Query(`EXPLAIN QUERY PLAN ` + strings.ReplaceAll(query, "?", "'x'"))
			if err != nil {
				return err
			}
			plan, err = scanAll(rows, func(rows *sql.Rows) (detail string, err error) {
				var id, parent, unused int
				return detail, rows.Scan(&id, &parent, &unused, &detail)
			})
			return err
		})
		text := strings.Join(plan, "\n")
		if !strings.Contains(text, "INDEX outbox_key (app_id=? AND lane=? AND ordering_key=?)") || strings.Contains(text, "TEMP B-TREE") {
			t.Errorf("plan of %s:\n%s", query, text)
		}
	}
}

func TestAnotherAppsBacklogDelaysNothing(t *testing.T) {
	t.Parallel()
	b := open(t, func(o *Options) { o.MaxPerApp = 2 })
	release, stuck := make(chan struct{}), make(chan struct{}, 1000)
	slow := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		select {
		case stuck <- struct{}{}:
		default:
		}
		<-release
		return ok(nil)
	})
	other := b.addApp("other")
	ran := make(chan struct{})
	quick := b.script(other, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		close(ran)
		return ok(nil)
	})
	backlog := 10_000
	if os.Getenv("PICLOUD_LONG") != "" {
		backlog = 100_000
	}
	b.fill(b.app, slow, backlog)
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan struct{})
	go func() { defer close(served); b.Serve(ctx) }()
	<-stuck
	<-stuck
	inv := b.invocation(quick)
	inv.App = other
	if err := b.Submit(t.Context(), inv); err != nil {
		t.Fatal(err)
	}
	<-ran // while every row of the other app that may run is stuck
	if got := b.count(`SELECT count(*) FROM outbox WHERE app_id = ? AND claimed_at IS NOT NULL`, b.app); got != 2 {
		t.Errorf("claimed rows of the app with the backlog: got %d, want 2", got)
	}
	cancel()
	b.lanes.signal()
	close(release)
	<-served
	b.gate.allFree(t)
}

// Apps share a claim evenly, those that run least and waited longest first.
func TestClaimsAreShared(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	apps := []cloud.AppID{b.app, b.addApp("b"), b.addApp("c")}
	for i, n := range []int{100, 2, 100} {
		b.fill(apps[i], cloud.NewID[cloud.ScriptID](), n)
	}
	claim := func(most int) map[cloud.AppID]int {
		if err := b.d.View(t.Context(), func(_ context.Context, rx *db.Rx) error { return earliest(rx, b.lanes.add) }); err != nil {
			t.Fatal(err)
		}
		shares, _ := b.lanes.due(b.now(), 0, false)
		rows, err := b.claim(t.Context(), shares, most)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(rows, func(x, y *row) int { return int(x.n - y.n) }) {
			t.Error("claimed rows aren't in order")
		}
		got := map[cloud.AppID]int{}
		for _, r := range rows {
			got[r.app]++
		}
		return got
	}
	if got := claim(9); got[apps[0]] < 3 || got[apps[1]] != 2 || got[apps[2]] < 3 {
		t.Errorf("a claim of 9 took %v", got)
	}
	if got := claim(2); got[apps[0]] != 1 || got[apps[2]] != 1 {
		t.Errorf("a claim of 2 took %v, want one of each that has rows", got)
	}
}

// A handler that outlives its lease commits nothing; its successor's effects are the only ones.
func TestLeaseOutlived(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.serve()()
		var attempts atomic.Int64
		s := b.script(b.app, func(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			attempts.Add(1)
			if inv.Attempt == 1 {
				time.Sleep(5 * time.Minute)
				hold := ctx.Value(holdKey{}).(func(context.Context, *db.Tx) error)
				if err := b.d.Update(context.Background(), hold); err == nil {
					t.Error("ctx.commit would have committed after the lease")
				}
				return ok(counts("late"))
			}
			return ok(counts("n"))
		})
		b.kvTrigger(s)
		b.emitKV("k")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if attempts.Load() != 2 || b.counted("late") != 0 || b.counted("n") != 1 {
			t.Errorf("attempts %d, late effects %d, effects %d; want 2, 0, 1", attempts.Load(), b.counted("late"), b.counted("n"))
		}
		if n := b.count(`SELECT count(*) FROM outbox`) + b.count(`SELECT count(*) FROM dead_letters`); n != 0 {
			t.Errorf("rows and letters left: got %d, want 0", n)
		}
		b.gate.allFree(t)
	})
}

// A claim's lease lasts as long as its script may run, even if that script is not in memory.
func TestLeaseLastsAsLongAsTheScript(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) })
		b.scripts[s].TimeoutSeconds = 120
		b.kvTrigger(s)
		b.emitKV("k")
		want := cloud.TimeOf(b.o.Now()).Add(120*time.Second + b.o.LeaseGrace)
		if rows := b.claimAll(); len(rows) != 1 || rows[0].lease != want {
			t.Errorf("got %d rows with a lease until %v, want one until %v", len(rows), rows[0].lease, want)
		}
	})
}

// crash leaves the database as a process that died would: rows claimed, nobody to end them.
func (b *box) crash() *box {
	n := openOn(b.t, b.d, func(o *Options) { *o = b.o; o.Gate = newGate(4) })
	n.gate = n.o.Gate.(*fakeGate)
	n.app, n.user, n.mu, n.scripts, n.code = b.app, b.user, b.mu, b.scripts, b.code
	n.o.Principals, n.o.Scripts = n, n
	return n
}

// ordinary is a claim's share of one app's ordinary rows.
func ordinary(app cloud.AppID, most int) []share {
	return []share{{app, most, []laneShare{{"", most}}}}
}

func (b *box) claimAll() []*row {
	b.t.Helper()
	rows, err := b.claim(context.Background(), ordinary(b.app, maxClaim), maxClaim)
	if err != nil {
		b.t.Fatal(err)
	}
	return rows
}

func TestReleaseAtStart(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, func(o *Options) { o.SyncOutbox = SyncTable })
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
		bad := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return throw("boom") })
		b.kvTrigger(s)
		once := b.kvTrigger(bad)
		one := 1
		if _, err := b.UpdateTrigger(t.Context(), b.app, once.ID, TriggerPatch{RetryMaxAttempts: &one}); err != nil {
			t.Fatal(err)
		}
		b.emitKV("k")
		old := b.claimAll()
		if len(old) != 2 {
			t.Fatalf("claimed %d rows, want 2", len(old))
		}
		// A sync caller whose process dies during the execution.
		sync := &attempt{o: b.Outbox, inv: b.invocation(s)}
		if err := sync.store(t.Context()); err != nil {
			t.Fatal(err)
		}

		b2 := b.crash()
		defer b2.serve()()
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b2.counted("n"); n != 1 {
			t.Errorf("effects: got %d, want 1", n)
		}
		letters := b2.letters(DeadLetterFilter{})
		if len(letters) != 1 || len(letters[0].Attempts) != 1 || letters[0].Attempts[0].Error != errBroken.Msg {
			t.Errorf("letters: got %+v, want one whose only attempt was broken", letters)
		}
		for _, r := range b2.records() {
			if r.inv.Script == s && r.res.Err == nil && r.inv.Attempt != 2 {
				t.Errorf("attempt after the crash: got %d, want 2", r.inv.Attempt)
			}
		}
		if list, _, err := b2.Abandoned(t.Context(), b.app, cloud.Page{}); err != nil || len(list) != 1 || list[0].ExecutionID != sync.inv.ID {
			t.Errorf("abandoned: got %+v, %v, want the sync call", list, err)
		}
		if n := b2.count(`SELECT count(*) FROM outbox`); n != 0 {
			t.Errorf("rows left: got %d, want 0", n)
		}
		// The worker of the dead process wakes up again.
		if err := b.finish(&attempt{row: old[0]}, counts("late")); err == nil || b2.counted("late") != 0 {
			t.Errorf("a late worker committed: %v", err)
		}
	})
}

func TestOrderlyStopReleasesWhatDoesNotEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		stuck := true
		s := b.script(b.app, func(ctx context.Context, _ *cloud.Invocation) (*cloud.Result, Effects) {
			if !stuck {
				return ok(counts("n"))
			}
			<-ctx.Done()
			return &cloud.Result{Err: cloud.Errorf(cloud.Timeout, "stopped")}, nil
		})
		if err := b.Submit(t.Context(), b.invocation(s)); err != nil {
			t.Fatal(err)
		}
		stop := b.serve()
		done := make(chan *cloud.Result)
		go func() { done <- b.Do(context.Background(), b.invocation(s)) }()
		synctest.Wait()
		began := time.Now()
		go stop()
		if res := <-done; res.Err == nil {
			t.Error("the caller got no error")
		}
		synctest.Wait()
		if d := time.Since(began); d != 10*time.Second {
			t.Errorf("the stop took %v, want 10s", d)
		}
		rows, _, _ := b.Rows(t.Context(), b.app, cloud.Page{})
		if len(rows) != 1 || rows[0].State != stateRetrying || rows[0].NextAttemptAt > b.now() {
			t.Fatalf("rows: got %+v, want one that is released and due", rows)
		}
		stuck = false
		b2 := b.crash()
		defer b2.serve()()
		synctest.Wait()
		if n := b2.counted("n"); n != 1 {
			t.Errorf("effects after the restart: got %d, want 1", n)
		}
	})
}

func TestIdleOutboxIsQuiet(t *testing.T) {
	bubble(t, func(t *testing.T) {
		commits := 0
		b := open(t, nil, func(o *db.Options) { o.Observe = func(db.CommitStats) { commits++ } })
		defer b.serve()()
		synctest.Wait()
		before := commits
		time.Sleep(time.Hour)
		synctest.Wait()
		if commits != before {
			t.Errorf("commits in an idle hour: got %d, want 0", commits-before)
		}
	})
}

// Whatever fails and whenever the process dies: each event is applied exactly once, or is a
// dead letter; never both, never neither.
func TestNothingIsLostOrAppliedTwice(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 1))
				var mu sync.Mutex
				dice := func(n int) int {
					mu.Lock()
					defer mu.Unlock()
					return rng.IntN(n)
				}
				chance := func(percent int) bool { return dice(100) < percent }
				b := open(t, nil)
				b.gate.callers = seed%2 == 1 // rows run on threads of their own, or not
				s := b.script(b.app, func(ctx context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
					time.Sleep(time.Duration(inv.Attempt) * 10 * time.Millisecond)
					switch {
					case chance(25):
						return throw("x")
					case chance(10):
						return ok(apply(func(context.Context, *db.Tx) error {
							return conflict{func(context.Context) (func(), error) { return func() {}, nil }}
						}))
					case chance(10):
						return ok(apply(func(ctx context.Context, tx *db.Tx) error {
							if err := counts(inv.Key)(ctx, tx); err != nil {
								return err
							}
							return errTest // after it has written
						}))
					}
					return ok(counts(inv.Key))
				})
				var keys []string
				for range 6 {
					ctx, cancel := context.WithCancel(context.Background())
					served := make(chan struct{})
					go func() { defer close(served); b.Serve(ctx) }()
					for range 20 {
						inv := b.invocation(s)
						if err := b.Submit(t.Context(), inv); err != nil {
							t.Fatal(err)
						}
						keys = append(keys, inv.ID.String())
						time.Sleep(time.Duration(dice(20)) * time.Millisecond)
					}
					// Die: the old process's workers go on as ghosts, but own nothing any more.
					old := b
					b = b.crash()
					if err := b.release(t.Context()); err != nil {
						t.Fatal(err)
					}
					cancel()
					<-served
					old.gate.allFree(t)
				}
				stop := b.serve()
				time.Sleep(time.Hour)
				synctest.Wait()
				stop()
				if n := b.count(`SELECT count(*) FROM outbox`); n != 0 {
					t.Errorf("rows left: got %d, want 0", n)
				}
				for _, key := range keys {
					id, err := cloud.ParseID[cloud.RowID](key)
					if err != nil {
						t.Fatal(err)
					}
					applied, dead := b.counted(key), b.count(`SELECT count(*) FROM dead_letters WHERE original_event_id = ?`, id)
					if applied+dead != 1 {
						t.Errorf("event %s: applied %d times, dead %d times", key, applied, dead)
					}
				}
			})
		})
	}
}
