package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// side does some work over and over for d and counts how often.
type side struct {
	name string
	run  func(d time.Duration) (n int, err error)
	pid  int // of the process whose processor time counts; 0: this one
}

// comparison is what PiCloud does beside the same work done bare.
type comparison struct {
	work string
	ours side
	bare []side
}

// limitParts make the comparisons; each cleans up after itself.
var limitParts = []struct {
	name string
	make func(o limitOptions) (rows []comparison, cleanup func(), err error)
}{
	{"http", limitHTTP},
	{"kv", limitKV},
	{"outbox", limitOutbox},
	{"js", limitJS},
}

type limitOptions struct {
	picloud string // binary
}

// limitBench prints, beside each figure of ours, what the same work costs bare.
func limitBench(args []string) error {
	f := flag.NewFlagSet("limit", flag.ExitOnError)
	var o limitOptions
	f.StringVar(&o.picloud, "picloud", "", "picloud binary")
	d := f.Duration("d", time.Second, "duration of each measurement, of which there are -times per figure")
	times := f.Int("times", 3, "times that each figure is measured, ours and bare in turn; the best counts")
	only := f.String("only", "", "parts, by name and comma: http, kv, outbox, js; empty: all")
	f.Parse(args)
	fmt.Println("| work | beside | PiCloud, µs | of processor | bare, µs | of processor | ratio | of processor |\n|---|---|---|---|---|---|---|---|")
	for _, p := range limitParts {
		if *only != "" && !strings.Contains(","+*only+",", ","+p.name+",") {
			continue
		}
		rows, cleanup, err := p.make(o)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		for _, c := range rows {
			if err := c.print(*d, *times); err != nil {
				cleanup()
				return fmt.Errorf("%s: %w", c.work, err)
			}
		}
		cleanup()
	}
	return nil
}

// cost is what one piece of work takes.
type cost struct{ wall, processor time.Duration }

func (c *comparison) print(d time.Duration, times int) error {
	var ours cost
	bare := make([]cost, len(c.bare))
	for range times {
		if err := c.ours.best(&ours, d); err != nil {
			return err
		}
		for i := range c.bare {
			if err := c.bare[i].best(&bare[i], d); err != nil {
				return fmt.Errorf("%s: %w", c.bare[i].name, err)
			}
		}
	}
	for i, b := range bare {
		fmt.Printf("| %s | %s | %s | %s | %s | %s | %s | %s |\n", c.work, c.bare[i].name, micros(ours.wall), micros(ours.processor),
			micros(b.wall), micros(b.processor), ratio(ours.wall, b.wall), ratio(ours.processor, b.processor))
	}
	return nil
}

// best measures once and keeps what is less than before.
func (s *side) best(c *cost, d time.Duration) error {
	runtime.GC()
	start, used := time.Now(), s.processor()
	n, err := s.run(d)
	if err != nil {
		return err
	}
	wall, processor := time.Since(start)/time.Duration(n), (s.processor()-used)/time.Duration(n)
	if c.wall == 0 || wall < c.wall {
		c.wall = wall
	}
	if c.processor == 0 || processor < c.processor {
		c.processor = processor
	}
	return nil
}

// processor is the processor time that the side's process has used.
func (s *side) processor() time.Duration {
	if s.pid == 0 {
		var u syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.pid))
	fields := strings.Fields(string(b[strings.LastIndexByte(string(b), ')')+1:]))
	var user, system int64
	fmt.Sscan(fields[11], &user)
	fmt.Sscan(fields[12], &system)
	return time.Duration(user+system) * 10 * time.Millisecond // ticks of 100 Hz
}

func micros(d time.Duration) string {
	us := float64(d) / 1000
	switch {
	case d == 0:
		return ""
	case us < 10:
		return fmt.Sprintf("%.2f", us)
	case us < 100:
		return fmt.Sprintf("%.1f", us)
	}
	return fmt.Sprintf("%.0f", us)
}

func ratio(a, b time.Duration) string {
	if b == 0 {
		return ""
	}
	return fmt.Sprintf("%.1f", float64(a)/float64(b))
}

// repeated is a run of f on so many goroutines; f is told which one it is on.
func repeated(workers int, f func(worker int) error) func(time.Duration) (int, error) {
	return func(d time.Duration) (int, error) {
		end := time.Now().Add(d)
		var n atomic.Int64
		var all sync.WaitGroup
		errs := make([]error, workers)
		for w := range workers {
			all.Go(func() {
				for time.Now().Before(end) && errs[w] == nil {
					errs[w] = f(w)
					n.Add(1)
				}
			})
		}
		all.Wait()
		for _, err := range errs {
			if err != nil {
				return 0, err
			}
		}
		return int(n.Load()), nil
	}
}

// startSelf starts this program again as a server, and waits until it answers.
func startSelf(args ...string) (*peer, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p, err := start("bare", "http://"+addr+"/hello", self, nil, append(args, "-listen", addr)...)
	if err != nil {
		return nil, err
	}
	p.addr = addr
	return p, nil
}
