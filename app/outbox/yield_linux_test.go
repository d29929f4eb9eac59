package outbox

import (
	"context"
	"testing"

	"golang.org/x/sys/unix"

	"picloud/app/cloud"
)

// Rows yield to callers as long as those come, and to nobody else.
func TestRowsYieldToCallers(t *testing.T) {
	t.Parallel()
	for name, callers := range map[string]bool{"callers come": true, "nobody calls": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := open(t, nil)
			b.gate.callers = callers
			niceness := make(chan int, 1)
			s := b.script(b.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
				p, err := unix.Getpriority(unix.PRIO_PROCESS, unix.Gettid())
				if err != nil {
					t.Error(err)
				}
				niceness <- 20 - p // the system call answers 20 - nice
				return ok(nil)
			})
			stop := b.serve()
			defer stop()
			usual, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // of this thread
			if err != nil {
				t.Fatal(err)
			}
			want := 20 - usual
			if callers {
				want = threadNice
			}
			for range 3 { // the second and third on a thread that waited for them
				if err := b.Submit(t.Context(), b.invocation(s)); err != nil {
					t.Fatal(err)
				}
				if got := <-niceness; got != want {
					t.Errorf("niceness: got %d, want %d", got, want)
				}
			}
		})
	}
}
