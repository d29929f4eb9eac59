package executor

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"picloud/app/cloud"
)

// While short executions come, those that compute for long leave one processor clear, and all
// get on.
func TestTurns(t *testing.T) {
	for _, tt := range []struct{ processors, room, long int }{{1, 1, 3}, {2, 1, 3}, {4, 3, 8}} {
		synctest.Test(t, func(t *testing.T) {
			turns := newTurns(tt.processors)
			time.Sleep(time.Minute) // so that no short one is known
			var (
				mu    sync.Mutex // guards what follows
				took  = make([]int, tt.long)
				most  int
				stop  = make(chan struct{})
				works sync.WaitGroup
			)
			for i := range tt.long {
				works.Go(func() {
					turn := turns.begin()
					defer turn.end()
					for {
						turn.wait(stop)
						select {
						case <-stop:
							return
						default:
						}
						turns.mu.Lock()
						mu.Lock()
						took[i]++
						most = max(most, len(turns.holding))
						mu.Unlock()
						turns.mu.Unlock()
						time.Sleep(turnTime)
					}
				})
			}
			// during is what happens while step runs n times, a turn's time apart.
			during := func(n int, step func()) (atOnce int, turns []int) {
				mu.Lock()
				most = 0
				clear(took)
				mu.Unlock()
				for range n {
					step()
					time.Sleep(turnTime)
				}
				synctest.Wait()
				mu.Lock()
				defer mu.Unlock()
				return most, slices.Clone(took)
			}
			if n, _ := during(3, func() {}); n != tt.long {
				t.Errorf("%d processors, nobody else: %d of %d compute at once", tt.processors, n, tt.long)
			}
			during(3, turns.pass)
			const rounds = 20
			n, got := during(rounds*tt.long, turns.pass)
			if n != tt.room {
				t.Errorf("%d processors, beside short executions: %d compute at once, want %d", tt.processors, n, tt.room)
			}
			// Those that come back at the same moment line up in any order.
			if share := rounds * tt.room; slices.Min(got) < share*9/10 || slices.Max(got) > share*11/10 {
				t.Errorf("%d processors: turns in the same time: %v, want about %d", tt.processors, got, share)
			}
			time.Sleep(turnsPressed)
			if n, _ := during(3, func() {}); n != tt.long {
				t.Errorf("%d processors, no short ones any more: %d of %d compute at once", tt.processors, n, tt.long)
			}
			close(stop)
			works.Wait()
		})
	}
}

// Nobody waits for an execution that is over, or stays in a native or a host call, or past its
// own end.
func TestTurnsOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turns := newTurns(2)
		time.Sleep(time.Minute)
		first, second, third := turns.begin(), turns.begin(), turns.begin()
		turns.pass()
		first.wait(nil) // and now it doesn't come back
		begin := time.Now()
		over := make(chan struct{})
		time.AfterFunc(turnTime/2, func() { close(over) })
		third.wait(over)
		if waited := time.Since(begin); waited != turnTime/2 {
			t.Errorf("waited %v for a turn, want until its end after %v", waited, turnTime/2)
		}
		second.wait(nil)
		if waited := time.Since(begin); waited != turnTime {
			t.Errorf("waited %v for the end of a turn, want %v", waited, turnTime)
		}
		begin = time.Now()
		time.AfterFunc(turnTime/2, second.end)
		first.wait(nil)
		if waited := time.Since(begin); waited != turnTime/2 {
			t.Errorf("waited %v for an execution that ended after %v", waited, turnTime/2)
		}
		first.end()
		third.end()
		if turns.long.Load() != 0 || len(turns.holding)+len(turns.line) != 0 {
			t.Errorf("left behind: %d, %v, %v", turns.long.Load(), turns.holding, turns.line)
		}
	})
}

// Scripts that compute without end let short ones by: they wait for each other's turns, and
// still end in time.
func TestLongExecutionsTakeTurns(t *testing.T) {
	for _, isolation := range []string{InProcess, Process} {
		t.Run(isolation, func(t *testing.T) { testLongExecutionsTakeTurns(t, isolation) })
	}
}

func testLongExecutionsTakeTurns(t *testing.T, isolation string) {
	m := newMachine(t, Options{Isolation: isolation})
	var turns *turns
	if isolation == Process {
		turns = m.workers.turns.turns
	} else {
		turns = m.overruns.turns
	}
	short := m.scripts.save(cloud.Script{Source: `export default () => 1`})
	endless := m.scripts.save(cloud.Script{TimeoutSeconds: 2, Source: `export default async () => { for (;;) await null }`})
	var (
		ends sync.WaitGroup
		long = turns.room + 2
		over = make(chan struct{})
	)
	for range long {
		ends.Go(func() {
			if res := m.call(endless); cloud.KindOf(res.Err) != cloud.Timeout && cloud.KindOf(res.Err) != cloud.BudgetExceeded {
				t.Errorf("an endless one ended with %v", res.Err)
			}
		})
	}
	go func() {
		ends.Wait()
		close(over)
	}()
	waited, stopped := 0, isolation == InProcess
	for running := true; running; {
		if res := m.call(short); res.Err != nil {
			t.Errorf("a short one: %v", res.Err)
		}
		turns.mu.Lock()
		waited = max(waited, len(turns.line))
		turns.mu.Unlock()
		if !stopped {
			stopped = slices.ContainsFunc(m.workers.processes(), isStopped)
		}
		select {
		case <-over:
			running = false
		default:
		}
	}
	if !stopped {
		t.Error("no worker was ever seen stopped")
	}
	if waited == 0 {
		t.Error("none of them waited for a turn")
	}
	turns.mu.Lock()
	defer turns.mu.Unlock()
	if n := turns.long.Load(); n != 0 || len(turns.line) > 0 {
		t.Errorf("when they are over: %d compute, %d wait", n, len(turns.line))
	}
}

// isStopped reports whether a process is stopped by a signal, by proc(5).
func isStopped(pid int) bool {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, after, _ := bytes.Cut(b, []byte(") "))
	return bytes.HasPrefix(after, []byte("T"))
}
