package main

import (
	"context"
	"database/sql"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	_ "modernc.org/sqlite"
)

// queue is one job queue under test. Every job's handler is empty but for a call of done
// with the job's body.
type queue interface {
	enqueue(ctx context.Context, body string) error
	close()
}

// queuePeer opens one on a file in dir; synchronous is NORMAL or FULL.
type queuePeer struct {
	name string
	open func(dir, synchronous string, done func(body string)) (queue, error)
}

var queuePeers = []queuePeer{
	{"PiCloud outbox", openOutbox},
	{"goqite 0.4.0", openGoqite},
	{"backlite 0.6.0", openBacklite},
	{"River 0.51.1 (SQLite)", openRiver},
}

func queueBench(args []string) error {
	f := flag.NewFlagSet("queue", flag.ExitOnError)
	jobs := f.Int("n", 20000, "jobs of a lifecycle run; slower peers get what they do in a fifth of them")
	producers := f.Int("producers", 8, "goroutines that enqueue")
	synchronous := f.String("synchronous", "NORMAL", "NORMAL or FULL")
	seconds := f.Int("pickup", 5, "seconds of the pick-up measurement at 50 jobs/s")
	only := f.String("only", "", "name of one peer")
	f.Parse(args)

	fmt.Println("| queue | jobs/s (enqueue to ack) | pick-up p50 | pick-up p99 |\n|---|---|---|---|")
	for i, p := range queuePeers {
		if *only != "" && p.name != *only {
			continue
		}
		n := *jobs
		if i > 0 {
			n /= 5
		}
		rate, err := lifecycle(p, *synchronous, n, *producers)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		lat, err := pickup(p, *synchronous, *seconds*50)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		fmt.Printf("| %s | %.0f | %v | %v |\n", p.name, rate, lat[len(lat)/2].Round(time.Microsecond), lat[len(lat)*99/100].Round(time.Microsecond))
	}
	return nil
}

// lifecycle enqueues n jobs from several goroutines while they are worked off, and returns
// jobs per second from the first enqueue to the last handler.
func lifecycle(p queuePeer, synchronous string, n, producers int) (float64, error) {
	var left atomic.Int64
	left.Store(int64(n))
	all := make(chan struct{})
	q, cleanup, err := openIn(p, synchronous, func(string) {
		if left.Add(-1) == 0 {
			close(all)
		}
	})
	if err != nil {
		return 0, err
	}
	defer cleanup()
	start := time.Now()
	var wg sync.WaitGroup
	errs := make(chan error, producers)
	for range producers {
		wg.Go(func() {
			for range n / producers {
				if err := q.enqueue(context.Background(), "job"); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	for range n % producers {
		if err := q.enqueue(context.Background(), "job"); err != nil {
			return 0, err
		}
	}
	select {
	case err := <-errs:
		return 0, err
	case <-all:
	case <-time.After(5 * time.Minute):
		return 0, fmt.Errorf("%d jobs were never run", left.Load())
	}
	return float64(n) / time.Since(start).Seconds(), nil
}

// pickup enqueues jobs at 50 a second on a queue at rest and measures from the return of
// enqueue (the commit) to the start of the handler.
func pickup(p queuePeer, synchronous string, n int) ([]time.Duration, error) {
	started := make(chan time.Time, 1)
	q, cleanup, err := openIn(p, synchronous, func(string) { started <- time.Now() })
	if err != nil {
		return nil, err
	}
	defer cleanup()
	var lat []time.Duration
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for range n {
		<-tick.C
		if err := q.enqueue(context.Background(), "job"); err != nil {
			return nil, err
		}
		committed := time.Now()
		lat = append(lat, max(0, (<-started).Sub(committed)))
	}
	slices.Sort(lat)
	return lat, nil
}

func openIn(p queuePeer, synchronous string, done func(string)) (queue, func(), error) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return nil, nil, err
	}
	q, err := p.open(dir, synchronous, done)
	if err != nil {
		os.RemoveAll(dir)
		return nil, nil, err
	}
	return q, func() { q.close(); os.RemoveAll(dir) }, nil
}

// openSQL opens a file for a peer: WAL, one connection, as their documentation advises.
func openSQL(dir, synchronous string) (*sql.DB, error) {
	d, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "queue.db")+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=foreign_keys(1)&_pragma=synchronous("+synchronous+")")
	if err != nil {
		return nil, err
	}
	d.SetMaxOpenConns(1)
	return d, d.Ping()
}
