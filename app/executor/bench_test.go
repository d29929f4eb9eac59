package executor

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

var benchScripts = []struct{ name, source, input string }{
	{"hello", `module.exports = function (ctx) { return { hello: "world" }; }`, `{}`},
	{"1KB", `module.exports = function (ctx) { return ctx; }`, `{"data":"` + strings.Repeat("abcdefgh ", 50) + `","list":[` + strings.Repeat(`{"a":1,"b":"two","c":[1,2,3]},`, 17) + `0]}`},
	{"hostcalls", `module.exports = function (ctx) { for (var i = 0; i < 10000; i++) { kv.get("k"); } return 1; }`, `{}`},
	{"loop", `module.exports = function (ctx) { var n = 0; for (var i = 0; i < 1000000; i++) { n += i; } return n; }`, `{}`},
}

func benchEngines(b *testing.B, f func(b *testing.B, e Engine, source, input string)) {
	for name, e := range map[string]Engine{"quickjs": testQuickJS(b), "otto": testOtto(b)} {
		for _, s := range benchScripts {
			b.Run(name+"/"+s.name, func(b *testing.B) { f(b, e, s.source, s.input) })
		}
	}
}

func BenchmarkWarm(b *testing.B) {
	benchEngines(b, func(b *testing.B, e Engine, source, input string) {
		c, h := start(b, e, source), newHost(input)
		b.ReportAllocs()
		for b.Loop() {
			if _, f := c.Run(h, budget(time.Minute)); f != nil {
				b.Fatal(f.Err)
			}
		}
	})
}

// BenchmarkWarmFreshGoroutine shows what growing a new goroutine's stack costs.
func BenchmarkWarmFreshGoroutine(b *testing.B) {
	benchEngines(b, func(b *testing.B, e Engine, source, input string) {
		c, h := start(b, e, source), newHost(input)
		done := make(chan *Failure)
		for b.Loop() {
			go func() {
				_, f := c.Run(h, budget(time.Minute))
				done <- f
			}()
			if f := <-done; f != nil {
				b.Fatal(f.Err)
			}
		}
	})
}

func BenchmarkCold(b *testing.B) {
	benchEngines(b, func(b *testing.B, e Engine, source, input string) {
		p, err := e.Compile("main", source)
		if err != nil {
			b.Fatal(err)
		}
		h := newHost(input)
		b.ReportAllocs()
		for b.Loop() {
			c, err := e.NewContext(p, testLimits)
			if err != nil {
				b.Fatal(err)
			}
			if _, f := c.Run(h, budget(time.Minute)); f != nil {
				b.Fatal(f.Err)
			}
			c.Close()
		}
	})
}

// BenchmarkSDK is what executions cost with the real SDK: a context that is warm, one that is
// made for the run, and the same for a fetch handler, which loads the web's classes.
func BenchmarkSDK(b *testing.B) {
	e := sdkQuickJS(b)
	for _, s := range []struct{ name, source string }{
		{"hello", `export default (ctx) => ({ hello: "world" })`},
		{"fetch", `export default { fetch(request) { return new Response("hello " + request.method) } }`},
	} {
		h := newWebHost(b, &cloud.Request{Method: "GET", Host: "a.b", Path: "/", URL: "http://a.b/", Headers: map[string]string{"accept": "*/*", "user-agent": "x"}})
		b.Run(s.name+"/warm", func(b *testing.B) {
			c := start(b, e, s.source)
			b.ReportAllocs()
			for b.Loop() {
				if _, f := c.Run(h, budget(time.Minute)); f != nil {
					b.Fatal(f.Err)
				}
			}
		})
		b.Run(s.name+"/cold", func(b *testing.B) {
			p := mustCompile(b, e, s.source)
			for b.Loop() {
				c, err := e.NewContext(p, testLimits)
				if err != nil {
					b.Fatal(err)
				}
				if _, f := c.Run(h, budget(time.Minute)); f != nil {
					b.Fatal(f.Err)
				}
				c.Close()
			}
		})
	}
}

// BenchmarkIsolation is what an execution costs with a real database, in this process and in
// workers: docs/reliability.md has the table.
func BenchmarkIsolation(b *testing.B) {
	for _, isolation := range []string{InProcess, Process} {
		for _, s := range []struct{ name, source string }{
			{"hello", `export default () => ({ hello: "world" })`},
			{"read", `export default () => kv.collection("c").get("k")`},
			{"write", `export default () => { kv.collection("c").set("k", 1) }`},
			{"reads10", `export default () => { const c = kv.collection("c"); for (let i = 0; i < 10; i++) c.get("k" + i) }`},
			{"invoke", `export default () => invoke("callee")`},
			{"fetch", `export default { fetch() { return new Response("hello") } }`},
		} {
			b.Run(s.name+"/"+isolation, func(b *testing.B) { benchIsolation(b, isolation, s.source) })
		}
	}
}

func benchIsolation(b *testing.B, isolation, source string) {
	s := newStore(b)
	if isolation == Process && s.workers == nil {
		s.isolateForTest(b)
	}
	s.scripts.save(cloud.Script{AppID: s.app, Name: "callee", Source: `export default () => 1`})
	inv := invocation(s.app)
	inv.Script = s.scripts.save(cloud.Script{AppID: s.app, Source: source}).ID
	inv.Request = &cloud.Request{Method: "GET", Host: "a.b", Path: "/", URL: "http://a.b/", Headers: map[string]string{"accept": "*/*", "user-agent": "bench"}}
	run := func() {
		res, effects := s.Run(b.Context(), inv, nil)
		if res.Err != nil {
			b.Fatal(res.Err)
		}
		effects.Close()
	}
	run() // its worker is there
	pids := []int{os.Getpid()}
	if s.workers != nil {
		pids = append(pids, s.workers.processes()...)
	}
	b.ReportAllocs()
	before := processorTime(b, pids)
	for b.Loop() {
		run()
	}
	b.ReportMetric(float64(processorTime(b, pids)-before)/float64(b.N), "cpu-ns/op")
}

// processorTime is what all threads of the processes have used, in nanoseconds: what else the
// machine does shows less in it than in the time that passed.
func processorTime(b *testing.B, pids []int) (ns int64) {
	for _, pid := range pids {
		files, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", pid))
		if err != nil || len(files) == 0 {
			b.Skip("no schedstat")
		}
		for _, file := range files {
			text, _ := os.ReadFile(file)
			used, _, _ := strings.Cut(string(text), " ")
			n, _ := strconv.ParseInt(used, 10, 64)
			ns += n
		}
	}
	return ns
}

// BenchmarkWorkerStart is the time to start a worker, have it run a script for the first time,
// and end it; and what it holds then.
func BenchmarkWorkerStart(b *testing.B) {
	e := quickOf(b, Process, sdk.Prelude).(*processEngine)
	p := mustCompile(b, e, `export default () => 1`)
	h := newWebHost(b, &cloud.Request{Method: "GET", Host: "a.b", Path: "/", URL: "http://a.b/", Headers: map[string]string{}})
	for b.Loop() {
		e.workers.mu.Lock()
		idle := slices.Clone(e.workers.idle)
		e.workers.mu.Unlock()
		for _, w := range idle {
			w.kill(endIdle)
			<-w.gone
		}
		c, _ := e.NewContext(p, testLimits)
		if _, f := c.Run(h, budget(time.Minute)); f != nil {
			b.Fatal(f.Err)
		}
	}
	var kib int64
	for _, pid := range e.workers.processes() {
		f, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		if err != nil {
			b.Fatal(err)
		}
		for _, field := range []string{"Rss", "Pss", "Private_Dirty"} {
			_, rest, _ := strings.Cut(string(f), "\n"+field+":")
			kib, _ = strconv.ParseInt(strings.TrimSpace(strings.SplitN(rest, "kB", 2)[0]), 10, 64)
			b.ReportMetric(float64(kib)/1024, field+"-MiB")
		}
	}
}
