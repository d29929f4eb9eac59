package outbox

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/db"
)

// BenchmarkLifecycle is enqueue -> claim -> run an empty handler -> ack, by eight producers.
func BenchmarkLifecycle(b *testing.B) {
	x := open(b, func(o *Options) { o.Gate = newGate(16) })
	x.gate = x.o.Gate.(*fakeGate)
	var done sync.WaitGroup
	s := x.script(x.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		done.Done()
		return ok(nil)
	})
	defer x.serve()()
	b.ReportAllocs()
	done.Add(b.N)
	jobs := make(chan struct{}, b.N)
	for range b.N {
		jobs <- struct{}{}
	}
	close(jobs)
	b.ResetTimer()
	var producers sync.WaitGroup
	for range 8 {
		producers.Go(func() {
			for range jobs {
				if err := x.Submit(context.Background(), x.invocation(s)); err != nil {
					b.Error(err)
				}
			}
		})
	}
	producers.Wait()
	done.Wait()
}

// BenchmarkPickup is the time from the commit to the handler's start on an idle instance.
func BenchmarkPickup(b *testing.B) {
	x := open(b, nil)
	started := make(chan time.Time)
	s := x.script(x.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		started <- time.Now()
		return ok(nil)
	})
	defer x.serve()()
	var total time.Duration
	for b.Loop() {
		if err := x.Submit(context.Background(), x.invocation(s)); err != nil {
			b.Fatal(err)
		}
		committed := time.Now()
		total += max(0, (<-started).Sub(committed))
		for x.count(`SELECT count(*) FROM outbox`) > 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "pickup-µs")
}

// BenchmarkClaim claims one row and gives it back, with a backlog behind it.
func BenchmarkClaim(b *testing.B) {
	for _, backlog := range []int{100, 10_000, 1_000_000} {
		b.Run(fmt.Sprint(backlog), func(b *testing.B) {
			x := open(b, nil)
			x.fill(x.app, cloud.NewID[cloud.ScriptID](), backlog)
			apps := ordinary(x.app, maxClaim)
			for b.Loop() {
				rows, err := x.claim(context.Background(), apps, 1)
				if err != nil || len(rows) != 1 {
					b.Fatal(len(rows), err)
				}
				b.StopTimer()
				x.update(func(tx *db.Tx) error {
					_, err := tx.Exec(`UPDATE outbox SET claimed_at = NULL WHERE n = ?`, rows[0].n)
					return err
				})
				b.StartTimer()
			}
		})
	}
}

// BenchmarkClaimBeside claims one row beside a million that must wait: behind one of their
// key, and in a queue that nobody consumes.
func BenchmarkClaimBeside(b *testing.B) {
	for _, blocked := range []int{0, 1} {
		b.Run([]string{"queue", "key"}[blocked], func(b *testing.B) {
			x := open(b, nil)
			x.fill(x.app, cloud.NewID[cloud.ScriptID](), 1_000_000)
			x.update(func(tx *db.Tx) error {
				_, err := tx.Exec(`UPDATE outbox SET lane = iif(?, '', 'queue:q'), ordering_key = 'k', blocked = ? WHERE n > 1`, blocked, blocked)
				return err
			})
			apps := ordinary(x.app, maxClaim)
			for b.Loop() {
				rows, err := x.claim(context.Background(), apps, 2)
				if err != nil || len(rows) != 1 {
					b.Fatal(len(rows), err)
				}
				b.StopTimer()
				x.update(func(tx *db.Tx) error {
					_, err := tx.Exec(`UPDATE outbox SET claimed_at = NULL WHERE n = ?`, rows[0].n)
					return err
				})
				b.StartTimer()
			}
		})
	}
}

// BenchmarkDo is a sync call that writes nothing.
func BenchmarkDo(b *testing.B) {
	x := open(b, nil)
	res := &cloud.Result{StatusCode: 200}
	s := x.script(x.app, nil)
	x.SetRunner(idleRunner{res})
	inv := x.invocation(s)
	b.ReportAllocs()
	for b.Loop() {
		x.Do(context.Background(), inv)
	}
}

type idleRunner struct{ res *cloud.Result }

func (r idleRunner) Run(context.Context, *cloud.Invocation, func(context.Context, *db.Tx) error) (*cloud.Result, Effects) {
	return r.res, nil
}
func (idleRunner) Record(*cloud.Invocation, *cloud.Result) {}

// BenchmarkQueue sends messages by eight producers and receives them by an empty handler, one
// by one or in batches.
func BenchmarkQueue(b *testing.B) {
	for _, batch := range []int{1, 10, 100} {
		b.Run(fmt.Sprint("batch ", batch), func(b *testing.B) {
			x := open(b, func(o *Options) { o.Gate = newGate(16) })
			x.gate = x.o.Gate.(*fakeGate)
			var done sync.WaitGroup
			s := x.script(x.app, func(_ context.Context, inv *cloud.Invocation) (*cloud.Result, Effects) {
				done.Add(-1 - len(inv.Batch))
				return ok(nil)
			})
			x.consume(s, cloud.QueueFilter{BatchSize: batch, Concurrency: 16})
			defer x.serve()()
			done.Add(b.N)
			var left atomic.Int64
			left.Store(int64(b.N))
			b.ResetTimer()
			var producers sync.WaitGroup
			for range 8 {
				producers.Go(func() {
					for left.Add(-1) >= 0 {
						x.send("m")
					}
				})
			}
			producers.Wait()
			done.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
		})
	}
}

// BenchmarkQueueLatency is the time from a message's commit to the start of its handler, on
// an idle instance.
func BenchmarkQueueLatency(b *testing.B) {
	x := open(b, nil)
	started := make(chan time.Time)
	s := x.script(x.app, func(context.Context, *cloud.Invocation) (*cloud.Result, Effects) {
		started <- time.Now()
		return ok(nil)
	})
	x.consume(s, cloud.QueueFilter{})
	defer x.serve()()
	var total time.Duration
	for b.Loop() {
		x.send("m")
		committed := time.Now()
		total += max(0, (<-started).Sub(committed))
		for x.count(`SELECT count(*) FROM outbox`) > 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	b.ReportMetric(float64(total.Microseconds())/float64(b.N), "pickup-µs")
}
