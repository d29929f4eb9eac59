package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"picloud/scripts/bench/load"
)

// watched is one thing that must not grow for ever.
type watched struct {
	name               string
	unit               float64 // that it is told in
	relative, absolute float64 // growth over the second half that is none: both must be exceeded
	read               func(s *soak, metrics map[string]float64) float64

	values []float64
}

func watchedThings() []*watched {
	file := func(name string) func(*soak, map[string]float64) float64 {
		return func(s *soak, _ map[string]float64) float64 { return fileSize(filepath.Join(s.p.dir, name)) }
	}
	metric := func(name string) func(*soak, map[string]float64) float64 {
		return func(_ *soak, m map[string]float64) float64 { return m[name] }
	}
	const mib = 1 << 20
	// Goroutines swing by what runs at the moment of a sample; a leak is one per request or per second.
	return []*watched{
		{name: "resident memory, MiB", unit: mib, relative: .05, absolute: 4 * mib, read: func(s *soak, _ map[string]float64) float64 { return float64(resident(s.p.pid)) }},
		{name: "Go heap, MiB", unit: mib, relative: .1, absolute: 4 * mib, read: metric("go_memstats_heap_inuse_bytes")},
		{name: "goroutines", unit: 1, relative: .1, absolute: 40, read: metric("go_goroutines")},
		{name: "file descriptors", unit: 1, relative: .05, absolute: 3, read: func(s *soak, _ map[string]float64) float64 { return float64(descriptors(s.p.pid)) }},
		{name: "picloud.db, MiB", unit: mib, relative: .02, absolute: mib, read: file("picloud.db")},
		{name: "picloud.db-wal, MiB", unit: mib, relative: .05, absolute: 4 * mib, read: file("picloud.db-wal")},
		{name: "logs.db, MiB", unit: mib, relative: .05, absolute: 4 * mib, read: file("logs.db")},
		{name: "logs.db-wal, MiB", unit: mib, relative: .05, absolute: 4 * mib, read: file("logs.db-wal")},
	}
}

func fileSize(path string) float64 {
	i, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return float64(i.Size())
}

func descriptors(pid int) int {
	entries, _ := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	return len(entries)
}

// soak is a long run under a mixed load.
type soak struct {
	p      *peer
	things []*watched
	times  []float64 // seconds since the start, of the samples
}

// soakBench loads an instance for long and tells whether anything grows without end.
func soakBench(args []string) error {
	f := flag.NewFlagSet("soak", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	durability := f.String("durability", "full", "of picloud")
	d := f.Duration("d", 30*time.Minute, "duration")
	rate := f.Float64("rate", 1000, "requests per second: 70 % read, 20 % write, 10 % async")
	every := f.Duration("every", 10*time.Second, "time between two samples")
	f.Parse(args)
	runtime.GOMAXPROCS(2 * runtime.NumCPU())
	// So that the log is full, and has to delete for each record, long before the second half.
	if err := os.Setenv("PICLOUD_LOG_MAX_ROWS", "50000"); err != nil {
		return err
	}
	p, err := startPicloud(*bin, *durability)
	if err != nil {
		return err
	}
	defer p.stop()
	if err := p.admin.deployLoad("default"); err != nil {
		return err
	}
	if err := p.fillLoad(""); err != nil {
		return err
	}
	s := &soak{p: p, things: watchedThings()}
	stop, stopped := make(chan struct{}), make(chan error, 1)
	go func() { stopped <- s.sample(*every, stop) }()
	o := load.Open{Addr: p.addr, Kinds: kindsOf(p.addr, mixes[len(mixes)-1].shares), Rate: *rate, Duration: *d}
	r, err := o.Run()
	close(stop)
	if err := <-stopped; err != nil {
		return err
	}
	if err != nil {
		return err
	}
	if _, err := p.admin.idle(time.Minute); err != nil {
		return err
	}
	fmt.Printf("%.0f requests/s for %v, durability %s: %d requests, %d failed (%v), p50 %v, p99 %v, p99.9 %v\n\n",
		*rate, *d, *durability, r.Arrivals, r.Failures, r.First, short(r.All.Percentile(.5)), short(r.All.Percentile(.99)), short(r.All.Percentile(.999)))
	if grown := s.verdict(); grown > 0 {
		return fmt.Errorf("%d things grew", grown)
	}
	return nil
}

// sample looks at everything until stop is closed.
func (s *soak) sample(every time.Duration, stop chan struct{}) error {
	start := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		m, err := s.p.admin.metrics()
		if err != nil {
			return err
		}
		s.times = append(s.times, time.Since(start).Seconds())
		for _, w := range s.things {
			w.values = append(w.values, w.read(s, m))
		}
		select {
		case <-stop:
			return nil
		case <-tick.C:
		}
	}
}

// verdict prints what became of each thing, and counts those that grew in the second half,
// when caches and files have the size they keep.
func (s *soak) verdict() (grown int) {
	fmt.Println("| | at the start | half-way | at the end | most | growth per hour, second half | verdict |\n|---|---|---|---|---|---|---|")
	half := len(s.times) / 2
	span := s.times[len(s.times)-1] - s.times[half]
	for _, w := range s.things {
		v := w.values
		slope := load.Trend(s.times[half:], v[half:])
		verdict := "flat"
		if g := slope * span; g > w.absolute && g > w.relative*v[half] {
			verdict = "grows"
			grown++
		}
		most := v[0]
		for _, x := range v {
			most = max(most, x)
		}
		fmt.Printf("| %s | %.1f | %.1f | %.1f | %.1f | %+.2f | %s |\n", w.name, v[0]/w.unit, v[half]/w.unit, v[len(v)-1]/w.unit, most/w.unit, slope*3600/w.unit, verdict)
	}
	return grown
}
