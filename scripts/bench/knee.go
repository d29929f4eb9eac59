package main

import (
	"flag"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"time"

	"picloud/scripts/bench/load"
)

// mixes are the loads whose knee is looked for: names of kinds with their shares.
var mixes = []struct {
	name   string
	shares map[string]int
}{
	{"hello", map[string]int{"hello": 1}},
	{"read", map[string]int{"read": 1}},
	{"write", map[string]int{"write": 1}},
	{"async", map[string]int{"async": 1}},
	{"mixed", map[string]int{"read": 7, "write": 2, "async": 1}},
}

func kindsOf(addr string, shares map[string]int) []load.Kind {
	var kinds []load.Kind
	for _, name := range []string{"hello", "read", "write", "async"} {
		if shares[name] > 0 {
			kinds = append(kinds, loadKind(addr, "", name, shares[name]))
		}
	}
	return kinds
}

// kneeBench raises an open-loop load until the instance can't follow, and measures latency at
// half of that.
func kneeBench(args []string) error {
	f := flag.NewFlagSet("knee", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	durability := f.String("durability", "full", "of picloud")
	only := f.String("only", "", "mixes, by name and comma; empty: all")
	d := f.Duration("d", 10*time.Second, "duration of the measurement at half of the knee")
	step := f.Duration("step", 2*time.Second, "duration of each step towards the knee")
	bound := f.Duration("p99", 50*time.Millisecond, "most that the p99 may be")
	f.Parse(args)
	runtime.GOMAXPROCS(2 * runtime.NumCPU()) // so that the thread that paces gets its turn
	p, err := startPicloud(*bin, *durability)
	if err != nil {
		return err
	}
	defer p.stop()
	k := knee{p: p, c: p.admin, step: *step, bound: *bound}
	if err := k.c.deployLoad("default"); err != nil {
		return err
	}
	if err := p.fillLoad(""); err != nil {
		return err
	}
	fmt.Printf("durability %s, p99 under %v\n\n", *durability, *bound)
	fmt.Println("| load | knee, requests/s | at half of it | p50 | p90 | p99 | p99.9 | handler finished, p50 | p99 |\n|---|---|---|---|---|---|---|---|---|")
	for _, m := range mixes {
		if *only != "" && !slices.Contains(strings.Split(*only, ","), m.name) {
			continue
		}
		if err := k.measure(m.name, kindsOf(p.addr, m.shares), *d); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

type knee struct {
	p     *peer
	c     *client
	step  time.Duration
	bound time.Duration
}

func (k *knee) measure(name string, kinds []load.Kind, d time.Duration) error {
	rate, err := k.find(kinds)
	if err != nil {
		return err
	}
	o := load.Open{Addr: k.p.addr, Kinds: kinds, Rate: rate / 2, Warmup: time.Second, Duration: d}
	r, err := o.Run()
	if err != nil {
		return err
	}
	if r.Failures > 0 {
		return fmt.Errorf("%d of %d requests failed at half of the knee: %w", r.Failures, r.Arrivals, r.First)
	}
	if _, err := k.c.idle(30 * time.Second); err != nil {
		return err
	}
	finished := &load.Histogram{}
	if kinds[len(kinds)-1].Name == "async" {
		if finished, err = k.c.finishes(r, o.Rate, 5000); err != nil {
			return err
		}
	}
	fmt.Printf("| %s | %.0f | %.0f", name, rate, o.Rate)
	for _, p := range []float64{.5, .9, .99, .999} {
		fmt.Printf(" | %v", short(r.All.Percentile(p)))
	}
	fmt.Printf(" | %s | %s |\n", orNone(finished, .5), orNone(finished, .99))
	return nil
}

// find raises the rate by a third at a time, from an eighth of what a closed loop reaches,
// until two rates in a row are too much, and then looks between the last two three times. The
// knee is the highest rate that was followed.
func (k *knee) find(kinds []load.Kind) (float64, error) {
	closed, err := load.Run(k.p.addr, kinds[0].Request, 64, time.Second)
	if err != nil {
		return 0, err
	}
	var low, high float64
	for rate, failed := closed.PerSecond()/8, 0; failed < 2; rate *= 4. / 3 {
		ok, err := k.follows(kinds, rate)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low, failed = rate, 0
		default:
			if failed++; failed == 1 {
				high = rate
			}
		}
	}
	if low == 0 {
		return 0, fmt.Errorf("not even %.0f requests/s can be followed", high)
	}
	for range 3 {
		ok, err := k.follows(kinds, (low+high)/2)
		switch {
		case err != nil:
			return 0, err
		case ok:
			low = (low + high) / 2
		default:
			high = (low + high) / 2
		}
	}
	return low, nil
}

// follows reports whether the instance keeps up: 99 % of what is due is answered, no request
// fails, the p99 is within the bound, and handlers of async requests are done a second later.
func (k *knee) follows(kinds []load.Kind, rate float64) (bool, error) {
	if _, err := k.c.idle(2 * time.Minute); err != nil {
		return false, err
	}
	o := load.Open{Addr: k.p.addr, Kinds: kinds, Rate: rate, Warmup: time.Second, Duration: k.step}
	r, err := o.Run()
	if err != nil {
		return false, err
	}
	left, err := k.c.idle(2 * time.Minute)
	if err != nil {
		return false, err
	}
	return r.Achieved >= .99*rate && r.Failures == 0 && r.All.Percentile(.99) <= k.bound && left < time.Second, nil
}

func short(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(100 * time.Microsecond)
}

func orNone(h *load.Histogram, p float64) string {
	if h.Count() == 0 {
		return ""
	}
	return short(h.Percentile(p)).String()
}
