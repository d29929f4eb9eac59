package outbox

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

// offline is the failure of a host that can't be reached.
type offline struct{ error }

func (offline) Uncounted() bool           { return true }
func (offline) RetryAfter() time.Duration { return 5 * time.Minute }
func (o offline) Unwrap() error           { return o.error }

// A host that can't be reached for days costs its rows no attempt; when nothing else came for
// longer than Options.SendPatience, the first row is dead and the next one goes on.
func TestUncountedAttempts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const day = time.Hour // one that passes sooner: many attempts are made in it
		var said said
		days := 3
		from := time.Now()
		b := open(t, func(o *Options) {
			o.SendPatience = 7 * day
			o.SendRetry = Retry{MaxAttempts: 2, Backoff: Constant, BaseMS: 1000}
			sender(func(_ context.Context, inv *cloud.Invocation) *cloud.Result {
				if time.Since(from) < time.Duration(days)*day {
					return &cloud.Result{Err: offline{cloud.Errorf(cloud.Unreachable, "no network")}}
				}
				said.add("%s%d", inv.Op, inv.Attempt)
				if inv.Op == "refused" {
					return &cloud.Result{Err: cloud.Errorf(cloud.Unreachable, "answered 500")}
				}
				return &cloud.Result{}
			})(o)
		})
		defer b.serve()()
		for _, op := range []string{"a", "refused", "b"} {
			b.message(Message{Op: op, Lane: HTTPLane("x"), Key: "x", Payload: []byte(`{}`)})
		}
		time.Sleep(2*day + 500*time.Millisecond) // between two attempts
		synctest.Wait()
		rows, _, err := b.Rows(t.Context(), b.app, cloud.Page{})
		if err != nil || len(rows) != 3 || rows[0].AttemptCount != 0 || len(rows[0].Attempts) != 2 || rows[0].Attempts[1].At.Time().Sub(rows[0].Attempts[0].At.Time()) < 2*day-day/24 {
			t.Fatalf("after two days: got %+v %v", rows, err)
		}
		time.Sleep(day + day/12)
		synctest.Wait()
		if got := said.all(); got != "a1 refused1 refused2 b1" {
			t.Errorf("got %q", got)
		}
		if letters := b.letters(DeadLetterFilter{}); len(letters) != 1 || letters[0].Op != "refused" || letters[0].AttemptCount != 2 {
			t.Errorf("letters: got %+v", letters)
		}

		from, days = time.Now(), 100
		b.message(Message{Op: "c", Lane: HTTPLane("x"), Key: "x", Payload: []byte(`{}`)})
		b.message(Message{Op: "d", Lane: HTTPLane("x"), Key: "x", Payload: []byte(`{}`)})
		time.Sleep(8 * day)
		synctest.Wait()
		letters := b.letters(DeadLetterFilter{})
		if len(letters) != 2 || letters[0].Op != "c" || letters[0].LastError != "no network" {
			t.Fatalf("letters: got %+v", letters)
		}
		// Replayed, it has all its time again.
		if err := b.Replay(t.Context(), b.app, letters[0].ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * day)
		days = 0
		time.Sleep(day / 24)
		synctest.Wait()
		if got := said.all(); got != "a1 refused1 refused2 b1 d1 c1" && got != "a1 refused1 refused2 b1 c1" {
			t.Errorf("got %q", got)
		}
	})
}
