package executor

import (
	"encoding/json"
	"math/rand/v2"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// hostileScript tries to hurt: a handler's body, and how it must end: kinds, "memory" for a
// budget of that sort, or "ok" for an answer. Several are allowed where it depends on the
// machine's speed which limit is met first.
type hostileScript struct{ Name, Want, Body string }

// hostile are those of testdata/hostile.json, which the test of a whole instance and
// scripts/bench run, too.
func hostile(t testing.TB) (list []hostileScript) {
	t.Helper()
	b, err := os.ReadFile("testdata/hostile.json")
	if err == nil {
		err = json.Unmarshal(b, &list)
	}
	if err != nil || len(list) < 150 {
		t.Fatalf("%d hostile scripts, %v", len(list), err)
	}
	return list
}

// hostileTime is the wall clock limit of a script that nothing else ends.
const hostileTime = 300 * time.Millisecond

// timeFor is short for scripts that only the clock ends, and else long enough for any machine.
func timeFor(want string) time.Duration {
	if strings.Contains(want, "timeout") || raceEnabled {
		return hostileTime
	}
	return 20 * time.Second
}

// canary shows that a fresh context is as it should be.
const canary = `module.exports = function (ctx) {
  var s = JSON.stringify([ctx, [3, 1, 2].sort().map(String), "a-b".split("-"), typeof Object.prototype.toJSON, typeof eval]);
  log.info(s); kv.collection("c").set("k", 1);
  return s;
};`

func TestHostileScripts(t *testing.T) { testHostileScripts(t, sdkQuickJS(t)) }

// TestHostileScriptsInWorkers is the same in worker processes. What is looked at afterwards is
// the instance.
func TestHostileScriptsInWorkers(t *testing.T) {
	if testIsolation() == Process {
		t.Skip("TestHostileScripts has done it")
	}
	testHostileScripts(t, quickOf(t, Process, sdk.Prelude))
}

func testHostileScripts(t *testing.T, e Engine) {
	want := outcome(start(t, e, canary).Run(newHost(`{"a":1}`), budget(time.Minute)))
	if !strings.HasPrefix(want, "s[") {
		t.Fatalf("canary: %s", want)
	}
	limits := testLimits
	limits.Operations = 3_000_000
	runtime.GC()
	before, live, files := resident(t), liveRuntimes(), openFiles(t)
	for i, tt := range hostile(t) {
		if raceEnabled && i%8 != 0 && os.Getenv("PICLOUD_LONG") == "" {
			continue // the same code runs in all of them, and slowly
		}
		t.Run(tt.Name, func(t *testing.T) {
			p, err := e.Compile("main", "export default function (ctx) { "+tt.Body+" }")
			if err != nil {
				t.Fatal(err)
			}
			c, err := e.NewContext(p, limits)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			finished, f := c.Run(newHost(`{"a":1}`), Budget{Ctx: t.Context(), Deadline: begin.Add(timeFor(tt.Want)), Limits: limits})
			if got := endKind(f); !allowed(tt.Want, got) {
				t.Errorf("got %s (%s), want %s", got, clip(outcome(finished, f), 200), tt.Want)
			}
			if took := time.Since(begin); took > timeFor(tt.Want)+10*time.Second {
				t.Errorf("ended only after %v", took)
			}
			if strings.Contains(finished, "escaped") {
				t.Errorf("the script caught what it must not: %s", clip(finished, 200))
			}
			if f != nil && cloud.KindOf(f.Err) != cloud.ScriptError && !c.Spent() {
				t.Error("the context would be used again")
			}
			if !c.Spent() { // what was polluted may change answers of this context, but not break it
				_, f := c.Run(newHost(`{"a":1}`), Budget{Ctx: t.Context(), Deadline: time.Now().Add(hostileTime), Limits: limits})
				if got := endKind(f); got == "internal" {
					t.Errorf("second run: %s", outcome("", f))
				}
			}
			c.Close()
			next, err := e.NewContext(mustCompile(t, e, canary), limits)
			if err != nil {
				t.Fatal(err)
			}
			defer next.Close()
			if got := outcome(next.Run(newHost(`{"a":1}`), budget(time.Minute))); got != want {
				t.Errorf("the next execution: got %s, want %s", got, want)
			}
		})
	}
	if got := liveRuntimes(); got != live {
		t.Errorf("%d runtimes are left, want %d", got, live)
	}
	drainArenas()
	runtime.GC()
	if got := openFiles(t); got > files+4 { // a worker more than before
		t.Errorf("%d descriptors are open, %d were", got, files)
	}
	if after := resident(t); after > before+48<<20 && !raceEnabled {
		t.Errorf("resident memory grew from %d to %d MiB", before>>20, after>>20)
	}
}

// hostileOtto is for the engine of trusted code: it must stop what an honest mistake does.
var hostileOtto = []struct{ name, body, want string }{
	{"endless for", `for (;;);`, "budget_exceeded"},
	{"endless empty while", `while (true) {}`, "budget_exceeded"},
	{"catch", `for (;;) { try { for (;;); } catch (e) {} }`, "budget_exceeded"},
	{"finally", `try { for (;;); } finally { return "escaped" }`, "budget_exceeded"},
	{"endless toString", `return "" + { toString: function () { for (;;); } }`, "budget_exceeded"},
	{"endless comparator", `return [3, 2, 1].sort(function () { for (;;); })`, "budget_exceeded"},
	{"endless getter", `return ({ get a() { for (;;); } }).a`, "budget_exceeded"},
	{"endless toJSON", `return { toJSON: function () { for (;;); } }`, "budget_exceeded"},
	{"recursion", `function f() { return f() + 1 } return f()`, "script_error"},
	{"recursion caught", `function f() { return f() + 1 } try { f() } catch (e) { return "ok" }`, "ok"},
	{"recursion by toString", `var o = { toString: function () { return "" + o } }; return "" + o`, "script_error"},
	{"catch fatal", `try { ctx.commit() } catch (e) { return "escaped" } finally { return "escaped" }`, "internal"},
	{"eval", `return eval("1")`, "script_error"},
	{"Function", `return (function () {}).constructor("return 1")()`, "script_error"},
	{"host calls", `var c = kv.collection("c"); for (;;) c.get("a")`, "budget_exceeded"},
	{"throw a loop", `throw { toString: function () { for (;;); } }`, "budget_exceeded script_error"},
}

func TestHostileOtto(t *testing.T) { testHostileOtto(t, ottoOf(t, testIsolation(), sdk.Prelude)) }

func TestHostileOttoInWorkers(t *testing.T) {
	if testIsolation() == Process {
		t.Skip("TestHostileOtto has done it")
	}
	testHostileOtto(t, ottoOf(t, Process, sdk.Prelude))
}

func testHostileOtto(t *testing.T, e Engine) {
	limits := testLimits
	limits.Operations = 200_000
	for _, tt := range hostileOtto {
		t.Run(tt.name, func(t *testing.T) {
			c := start(t, e, "module.exports = function (ctx) { "+tt.body+" }")
			finished, f := c.Run(newHost(`{"a":1}`), Budget{Ctx: t.Context(), Deadline: time.Now().Add(10 * time.Second), Limits: limits})
			if got := endKind(f); !allowed(tt.want, got) {
				t.Errorf("got %s (%s), want %s", got, clip(outcome(finished, f), 200), tt.want)
			}
			if strings.Contains(finished, "escaped") {
				t.Errorf("the script caught what it must not: %s", finished)
			}
		})
	}
}

// TestHostileTogether runs hostile scripts beside honest ones on several goroutines: what is
// taken from one context must never hurt another. PICLOUD_LONG makes it run for a minute.
func TestHostileTogether(t *testing.T) {
	e := sdkQuickJS(t)
	long := time.Second
	if os.Getenv("PICLOUD_LONG") != "" {
		long = time.Minute
	}
	honest := mustCompile(t, e, canary)
	want := outcome(start(t, e, canary).Run(newHost(`{"a":1}`), budget(time.Minute)))
	var programs []Program
	for i, tt := range hostile(t) {
		if raceEnabled && i%8 != 0 {
			continue
		}
		programs = append(programs, mustCompile(t, e, "export default function (ctx) { "+tt.Body+" }"))
	}
	limits := testLimits
	limits.Operations = 1_000_000
	end := time.Now().Add(long)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for time.Now().Before(end) {
				for _, p := range []Program{programs[r.IntN(len(programs))], honest} {
					c, err := e.NewContext(p, limits)
					if err != nil {
						t.Error(err)
						return
					}
					finished, f := c.Run(newHost(`{"a":1}`), Budget{Ctx: t.Context(), Deadline: time.Now().Add(hostileTime / 3 * time.Duration(1+29*btoi(p == honest))), Limits: limits})
					c.Close()
					if p == honest && outcome(finished, f) != want {
						t.Errorf("an honest script: got %s, want %s", outcome(finished, f), want)
					}
				}
			}
		})
	}
	wg.Wait()
}

// allowed reports whether got is one of want. Where the operation budget may end a script, a
// slow machine's clock may do it first; under the race detector it may anywhere.
func allowed(want, got string) bool {
	kinds := strings.Fields(want)
	return slices.Contains(kinds, got) || got == "timeout" && (raceEnabled || slices.Contains(kinds, "budget_exceeded"))
}

// endKind is the kind of a failure, "memory" for its own sort of budget, "ok" for none.
func endKind(f *Failure) string {
	switch {
	case f == nil:
		return "ok"
	case strings.Contains(f.Trace.Message, "memory limit"):
		return "memory"
	}
	return string(cloud.KindOf(f.Err))
}

func mustCompile(t testing.TB, e Engine, source string) Program {
	t.Helper()
	p, err := e.Compile("main", source)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func liveRuntimes() (n int) {
	for _, q := range *quickLive.table.Load() {
		if q != nil {
			n++
		}
	}
	return n
}

// openFiles is how many descriptors the process has.
func openFiles(t testing.TB) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("no /proc")
	}
	return len(list)
}

// resident is the process's resident memory in bytes; the test is skipped where nothing tells.
func resident(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		t.Skip("no /proc")
	}
	pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
	return pages * int64(os.Getpagesize())
}
