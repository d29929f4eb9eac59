package outbox

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"picloud/app/cloud"
	"picloud/db"
	"picloud/db/dbtest"
)

func TestDo(t *testing.T) {
	tests := []struct {
		name    string
		script  script
		status  int
		effects int
	}{
		{"success", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) }, 200, 1},
		{"nothing to commit", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(nil) }, 200, 0},
		{"throw", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return throw("x") }, 502, 0},
		{"HttpError", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			return &cloud.Result{StatusCode: 418, Discard: true}, counts("n")
		}, 418, 0},
		{"commit refused", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			return ok(apply(func(context.Context, *db.Tx) error { return cloud.Errorf(cloud.Conflict, "final") }))
		}, 409, 0},
		{"panic", func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { panic("bug") }, 500, 0},
	}
	for _, mode := range []string{SyncMemory, SyncTable} {
		for _, tt := range tests {
			t.Run(mode+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				b := open(t, func(o *Options) { o.SyncOutbox = mode })
				res := b.Do(t.Context(), b.invocation(b.script(b.app, tt.script)))
				if res.StatusCode != tt.status {
					t.Errorf("status: got %d (%v), want %d", res.StatusCode, res.Err, tt.status)
				}
				if n := b.counted("n"); n != tt.effects {
					t.Errorf("effects: got %d, want %d", n, tt.effects)
				}
				if got := b.records(); len(got) != 1 || got[0].res.StatusCode != tt.status || got[0].inv.Attempt != 1 || got[0].inv.Key == "" {
					t.Errorf("recorded: got %+v, want the one result", got)
				}
				if n := b.count(`SELECT count(*) FROM outbox`) + b.count(`SELECT count(*) FROM abandoned_executions`); n != 0 {
					t.Errorf("rows left: got %d, want 0", n)
				}
				b.gate.allFree(t)
			})
		}
	}
}

// sizedEffects are effects of a size.
type sizedEffects struct {
	apply
	size int
}

func (e sizedEffects) Size() int { return e.size }

// Small effects wait for their commit without a permit, large ones keep it.
func TestPermitDuringCommit(t *testing.T) {
	for size, want := range map[int]int{smallEffects: 4, smallEffects + 1: 3} {
		b := open(t, nil)
		free := 0
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			return ok(sizedEffects{func(context.Context, *db.Tx) error { free = len(b.gate.free); return nil }, size})
		})
		if res := b.Do(t.Context(), b.invocation(s)); res.Err != nil || free != want {
			t.Errorf("effects of %d bytes: got %v with %d permits free, want %d", size, res.Err, free, want)
		}
	}
}

func TestDoWhenTheGateIsFull(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	b.gate.TryEnter(4)
	s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) { return ok(counts("n")) })
	if res := b.Do(t.Context(), b.invocation(s)); res.StatusCode != 503 {
		t.Errorf("status: got %d, want 503", res.StatusCode)
	}
	if n := b.counted("n"); n != 0 {
		t.Errorf("the script ran %d times, want never", n)
	}
}

// A caller who has gone leaves an execution that commits all the same.
func TestAbandonedExecution(t *testing.T) {
	t.Parallel()
	b := open(t, nil)
	ctx, cancel := context.WithCancel(t.Context())
	s := b.script(b.app, func(ctx context.Context, _ *cloud.Invocation) (*cloud.Result, Effects) {
		cancel()
		if ctx.Err() != nil {
			t.Error("the execution was cancelled with its caller")
		}
		res, eff := ok(counts("n"))
		res.Body = []byte(strings.Repeat("é", 2000))
		return res, eff
	})
	inv := b.invocation(s)
	b.Do(ctx, inv)
	if n := b.counted("n"); n != 1 {
		t.Errorf("effects: got %d, want 1", n)
	}
	list, _, err := b.Abandoned(t.Context(), b.app, cloud.Page{})
	if err != nil || len(list) != 1 {
		t.Fatalf("abandoned: got %v, %v, want one", list, err)
	}
	if x := list[0]; x.ExecutionID != inv.ID || x.StatusCode != 200 || len(x.ResultSummary) > maxSummary+4 || !strings.HasSuffix(x.ResultSummary, "é…") {
		t.Errorf("abandoned: got %+v", x)
	}
	if got := testutil.ToFloat64(b.metrics.abandoned.WithLabelValues(b.app.String())); got != 1 {
		t.Errorf("picloud_abandoned_executions_total: got %v, want 1", got)
	}
}

// conflict is a Contended whose turn comes at once, or never.
type conflict struct {
	turn func(context.Context) (func(), error)
}

func (conflict) Error() string                              { return "contended" }
func (c conflict) Turn(ctx context.Context) (func(), error) { return c.turn(ctx) }

func TestConflictsAreRerun(t *testing.T) {
	for _, where := range []string{"at the end", "in ctx.commit"} {
		t.Run(where, func(t *testing.T) {
			t.Parallel()
			b := open(t, nil)
			runs, held := 0, 0
			ids := map[cloud.ExecutionID]bool{}
			c := conflict{func(context.Context) (func(), error) {
				if len(b.gate.free) != 4 {
					t.Error("a permit is held while waiting for a turn")
				}
				held++
				return func() { held-- }, nil
			}}
			s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
				runs++
				ids[inv.ID] = true
				if runs == 3 {
					return ok(counts("n"))
				}
				if where == "in ctx.commit" {
					return &cloud.Result{Err: c}, apply(nil)
				}
				return ok(apply(func(context.Context, *db.Tx) error { return c }))
			})
			res := b.Do(t.Context(), b.invocation(s))
			if res.Err != nil || res.Reruns != 2 || runs != 3 || len(ids) != 1 || held != 0 {
				t.Errorf("got %v, reruns %d, runs %d, ids %d, turns held %d; want success, 2, 3, 1, 0", res.Err, res.Reruns, runs, len(ids), held)
			}
			if n := b.counted("n"); n != 1 {
				t.Errorf("effects: got %d, want 1", n)
			}
			if len(b.records()) != 1 {
				t.Errorf("recorded %d executions, want 1", len(b.records()))
			}
			if got := testutil.ToFloat64(b.metrics.reruns.WithLabelValues(b.app.String())); got != 2 {
				t.Errorf("picloud_conflict_reruns_total: got %v, want 2", got)
			}
			b.gate.allFree(t)
		})
	}
}

func TestConflictUntilTheDeadline(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			time.Sleep(time.Second)
			return ok(apply(func(context.Context, *db.Tx) error {
				return conflict{func(ctx context.Context) (func(), error) {
					select {
					case <-time.After(8 * time.Second):
						return func() {}, nil
					case <-ctx.Done():
						return nil, ctx.Err()
					}
				}}
			}))
		})
		start := time.Now()
		res := b.Do(t.Context(), b.invocation(s))
		wantError(t, res.Err, cloud.Conflict, "kept changing")
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("it took %v, want the script's 30s", d)
		}
		b.gate.allFree(t)
	})
}

// A full disk on commit: nothing is half done, the failure is told, and an async row is
// tried again when there is room.
func TestDiskFull(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil, dbtest.MaxPages(140))
		big := apply(func(_ context.Context, tx *db.Tx) error {
			_, err := tx.Exec(`INSERT INTO settings (name, value) VALUES ('big', ?)`, strings.Repeat("x", 4<<20))
			return err
		})
		var room atomic.Bool
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			if !room.Load() {
				return ok(big)
			}
			return ok(counts("n"))
		})
		res := b.Do(t.Context(), b.invocation(s))
		wantError(t, res.Err, cloud.Overloaded, "the disk is full")
		if err := b.Submit(t.Context(), b.invocation(s)); err != nil {
			t.Fatal(err)
		}
		defer b.serve()()
		synctest.Wait()
		rows, _, err := b.Rows(t.Context(), b.app, cloud.Page{})
		if err != nil || len(rows) != 1 || rows[0].State != stateRetrying || !strings.Contains(rows[0].Attempts[0].Error, "disk is full") {
			t.Fatalf("rows: got %+v, %v, want one that retries because the disk is full", rows, err)
		}
		room.Store(true)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := b.counted("n"); n != 1 {
			t.Errorf("effects: got %d, want 1", n)
		}
		b.gate.allFree(t)
	})
}

// When even the end of an attempt can't be written, the dispatcher's loop writes it later.
func TestStrandedAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
			return throw("boom")
		})
		if err := b.Submit(t.Context(), b.invocation(s)); err != nil {
			t.Fatal(err)
		}
		b.update(func(tx *db.Tx) error {
			_, err := tx.Exec(`CREATE TRIGGER refuse BEFORE UPDATE OF attempts ON outbox BEGIN SELECT RAISE(ABORT, 'no'); END`)
			return err
		})
		defer b.serve()()
		time.Sleep(time.Minute)
		synctest.Wait()
		if rows, _, _ := b.Rows(t.Context(), b.app, cloud.Page{}); len(rows) != 1 || rows[0].State != stateRunning {
			t.Fatalf("rows: got %+v, want one still claimed", rows)
		}
		b.update(func(tx *db.Tx) error { _, err := tx.Exec(`DROP TRIGGER refuse`); return err })
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if l := b.letters(DeadLetterFilter{}); len(l) != 1 || len(l[0].Attempts) != 3 {
			t.Errorf("letters: got %+v, want one with three attempts", l)
		}
		b.gate.allFree(t)
	})
}

var errTest = errors.New("test")
