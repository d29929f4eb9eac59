package outbox

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

// diskFull is trouble of the disk that may pass.
type diskFull struct{ error }

func (diskFull) Trouble() (string, bool) { return "the disk is full", false }

// An event that failed because the disk was full for a while costs no attempt: it doesn't
// become a dead letter, however often it was tried.
func TestADiskThatFailsCostsNoAttempt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := open(t, nil)
		defer b.serve()()
		var attempts said
		var full atomic.Bool
		full.Store(true)
		s := b.script(b.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
			attempts.add("%d", inv.Attempt)
			if full.Load() {
				return &cloud.Result{Err: diskFull{errors.New("commit: database or disk is full (13)")}}, nil
			}
			return &cloud.Result{StatusCode: 200}, nil
		})
		b.kvTrigger(s)
		b.emitKV("k")
		time.Sleep(20 * time.Second)
		full.Store(false)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if letters := b.letters(DeadLetterFilter{}); len(letters) != 0 {
			t.Fatalf("letters: got %+v, want none", letters)
		}
		if got := attempts.all(); strings.Count(got, "1") < 10 || !strings.HasSuffix(got, " 1") {
			t.Errorf("attempts: got %s, want many first ones", got)
		}
		if rows, _, err := b.Rows(t.Context(), b.app, cloud.Page{}); err != nil || len(rows) != 0 {
			t.Errorf("rows: got %+v %v, want none", rows, err)
		}
	})
}
