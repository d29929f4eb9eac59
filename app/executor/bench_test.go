package executor

import (
	"strings"
	"testing"
	"time"

	"picloud/app/cloud"
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
