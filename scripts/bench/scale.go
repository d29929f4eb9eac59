package main

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"picloud/scripts/bench/load"
)

// fixture is much of something that an instance holds.
type fixture struct {
	name string
	fill func(s *scale) error
}

var fixtures = []fixture{
	{"an empty instance", func(*scale) error { return nil }},
	{"100,000 keys", func(s *scale) error { return s.keys(100_000) }},
	{"1,000,000 keys", func(s *scale) error { return s.keys(1_000_000) }},
	{"1,000 apps, each with a script and a route", func(s *scale) error { return s.apps(1000) }},
	{"1,000 scripts in one app", func(s *scale) error { return s.scripts(1000) }},
	{"10,000 routes in one app", func(s *scale) error { return s.routes(10_000) }},
	{"1,000 triggers, none matches the write", func(s *scale) error { return s.triggers(1000, "other-%d") }},
	{"1,000 triggers, one matches", func(s *scale) error {
		return firstError(s.triggers(999, "other-%d"), s.triggers(1, "load"))
	}},
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// scaleBench measures the same requests beside much of everything, and a restart with it.
func scaleBench(args []string) error {
	f := flag.NewFlagSet("scale", flag.ExitOnError)
	bin := f.String("picloud", "", "picloud binary")
	durability := f.String("durability", "relaxed", "of picloud")
	d := f.Duration("d", 2*time.Second, "duration of each measurement")
	only := f.String("only", "", "a part of the name of the fixtures to measure; empty: all")
	f.Parse(args)
	fmt.Println("one connection; processor time is the server's\n\n| with | hello p50 | processor | read p50 | processor | write p50 | processor | filled in | start | resident MB | picloud.db MB |\n|---|---|---|---|---|---|---|---|---|---|---|")
	for _, x := range fixtures {
		if !strings.Contains(x.name, *only) {
			continue
		}
		if err := measureFixture(x, *bin, *durability, *d); err != nil {
			return fmt.Errorf("%s: %w", x.name, err)
		}
	}
	if *only == "" || strings.Contains("all match", *only) {
		return allMatch(*bin, *durability)
	}
	return nil
}

// scale is an instance that is filled.
type scale struct {
	p *peer
	c *client
}

func measureFixture(x fixture, bin, durability string, d time.Duration) error {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	p, err := servePicloud(bin, durability, dir)
	if err != nil {
		return err
	}
	s := &scale{p, p.admin}
	began := time.Now()
	err = firstError(s.c.deploy(), s.c.deployLoad("default"), p.fillLoad(""), x.fill(s))
	filled := time.Since(began)
	if err == nil {
		_, err = s.c.idle(2 * time.Minute)
	}
	p.stop()
	if err != nil {
		return err
	}
	began = time.Now()
	if p, err = servePicloud(bin, durability, dir); err != nil {
		return err
	}
	defer p.stop()
	started := time.Since(began)
	fmt.Printf("| %s", x.name)
	for _, kind := range []string{"hello", "read", "write"} {
		if err := measureOne(p, loadKind(p.addr, "", kind, 1), d); err != nil {
			return err
		}
	}
	fmt.Printf(" | %v | %v | %d | %.0f |\n", filled.Round(100*time.Millisecond), started.Round(10*time.Millisecond), resident(p.pid)>>20, fileSize(dir+"/picloud.db")/(1<<20))
	return nil
}

// measureOne measures at a low constant rate, so that nothing waits for anything else.
func measureOne(p *peer, k load.Kind, d time.Duration) error {
	o := load.Open{Addr: p.addr, Kinds: []load.Kind{k}, Rate: 200, Conns: 1, Warmup: time.Second, Duration: d}
	s := side{pid: p.pid}
	used := s.processor()
	r, err := o.Run()
	if err != nil {
		return err
	}
	if r.Failures > 0 {
		return fmt.Errorf("%s: %w", k.Name, r.First)
	}
	each := (s.processor() - used) / time.Duration(o.Rate*(o.Warmup+o.Duration).Seconds())
	fmt.Printf(" | %v | %sµs", short(r.All.Percentile(.5)), micros(each))
	return nil
}

// parallel calls f for 0 to n-1 on a few goroutines.
func parallel(n int, f func(i int) error) error {
	var mu sync.Mutex
	var first error
	var all sync.WaitGroup
	next := make(chan int)
	for range 8 {
		all.Go(func() {
			for i := range next {
				if err := f(i); err != nil {
					mu.Lock()
					first = firstError(first, err)
					mu.Unlock()
				}
			}
		})
	}
	for i := range n {
		next <- i
	}
	close(next)
	all.Wait()
	return first
}

// keys stores n of them beside those of the load, in its collection.
func (s *scale) keys(n int) error {
	const each = 10_000
	err := s.c.deployOne("default", "fill", "/load/fill", "sync", `export default (ctx) => {
		const from = Number(ctx.request.query.from), c = kv.collection("load");
		for (let i = 0; i < 10000; i++) {
			c.set("filled-" + String(from + i).padStart(8, "0"), {n: i, name: "bench", tags: ["a", "b"]});
			if (i % 1000 === 999) { ctx.commit(); }
		}
	}`)
	if err != nil {
		return err
	}
	for from := 0; from < n; from += each {
		resp, err := http.Post(fmt.Sprintf("%s/load/fill?from=%d", s.c.base, from), "text/plain", nil)
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode > 299 {
			return fmt.Errorf("store %d keys: status %d", each, resp.StatusCode)
		}
	}
	return nil
}

func (s *scale) apps(n int) error {
	return parallel(n, func(i int) error {
		slug := fmt.Sprintf("app-%d", i)
		_, err := s.c.post("/api/v1/admin/apps", map[string]any{"slug": slug, "name": slug})
		return firstError(err, s.c.deployOne(slug, "hello", "/hello", "sync", loadScripts[0].source))
	})
}

func (s *scale) scripts(n int) error {
	return parallel(n, func(i int) error {
		return s.c.deployOne("default", fmt.Sprintf("many-%d", i), fmt.Sprintf("/many/%d", i), "sync", loadScripts[0].source)
	})
}

// routes makes n in an app: literal ones, and one in ten with a parameter.
func (s *scale) routes(n int) error {
	script, err := s.c.post("/api/v1/admin/apps/default/scripts", map[string]any{"name": "routed", "source": loadScripts[0].source})
	if err != nil {
		return err
	}
	return parallel(n, func(i int) error {
		kind, path := "exact", fmt.Sprintf("/many/%d/%d", i%100, i)
		if i%10 == 0 {
			kind, path = "param", fmt.Sprintf("/many/%d/:id/%d", i%100, i)
		}
		_, err := s.c.post("/api/v1/admin/scripts/"+script["id"].(string)+"/routes", map[string]any{"host_kind": "any", "path_kind": kind, "path": path, "dispatch_mode": "sync"})
		return err
	})
}

// triggers makes n that listen to collections named by glob.
func (s *scale) triggers(n int, glob string) error {
	script, err := s.c.post("/api/v1/admin/apps/default/scripts", map[string]any{"name": fmt.Sprintf("handler-%d", n), "source": `export default function () {}`})
	if err != nil {
		return err
	}
	return parallel(n, func(i int) error {
		collection := glob
		if strings.Contains(glob, "%") {
			collection = fmt.Sprintf(glob, i)
		}
		_, err := s.c.post("/api/v1/admin/apps/default/triggers/kv", map[string]any{"script_id": script["id"], "collection_glob": collection, "ops": []string{}})
		return err
	})
}

// allMatch measures writes that fire so many triggers, one at a time, and how long until all
// their handlers are done.
func allMatch(bin, durability string) error {
	fmt.Println("\n| triggers that match a write | write p50 | handlers done after |\n|---|---|---|")
	for _, n := range []int{1, 10, 100, 1000} {
		p, err := startPicloud(bin, durability)
		if err != nil {
			return err
		}
		s := &scale{p, p.admin}
		err = firstError(s.c.deployLoad("default"), s.triggers(n, "load"))
		if err == nil {
			err = s.fire(n)
		}
		p.stop()
		if err != nil {
			return fmt.Errorf("%d triggers match: %w", n, err)
		}
	}
	return nil
}

func (s *scale) fire(n int) error {
	var writes load.Histogram
	var done time.Duration
	const rounds = 10
	for range rounds {
		began := time.Now()
		resp, err := http.Post(s.c.base+"/load/write?n=1", "application/json", strings.NewReader(`{"name":"bench"}`))
		if err != nil {
			return err
		}
		resp.Body.Close()
		if resp.StatusCode > 299 {
			return fmt.Errorf("write: status %d", resp.StatusCode)
		}
		writes.Record(time.Since(began))
		left, err := s.c.idle(time.Minute)
		if err != nil {
			return err
		}
		done += left
	}
	fmt.Printf("| %d | %v | %v |\n", n, short(writes.Percentile(.5)), (done / rounds).Round(time.Millisecond))
	return nil
}
