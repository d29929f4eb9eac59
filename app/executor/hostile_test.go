package executor

import (
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

// hostile are scripts that try to hurt: each handler's body, and how it must end. Several
// kinds are allowed where it depends on the machine's speed which limit is met first.
var hostile = []struct {
	name, body string
	want       string // kinds, or "ok" for an answer; all that is allowed
}{
	// Endless work.
	{"endless for", `for (;;);`, "budget_exceeded"},
	{"endless while", `while (true) { ctx.n = 1 }`, "budget_exceeded"},
	{"endless recursion caught", `function f() { try { f() } catch (e) { f() } } f()`, "budget_exceeded timeout"},
	{"endless async", `return (async () => { for (;;) await null })()`, "budget_exceeded memory"},
	{"endless promise jobs", `function f() { Promise.resolve().then(f) } f()`, "budget_exceeded"},
	{"endless native jobs", `function f() { return { then: f2 } } function f2(ok) { ok(f()) } return f()`, "budget_exceeded"},
	{"endless generator", `function* g() { for (;;) yield 1 } for (const x of g()) {}`, "budget_exceeded"},
	{"endless spread", `function* g() { for (;;) yield 1 } return [...g()]`, "budget_exceeded"},
	{"endless getter", `const o = { get x() { for (;;); } }; return o.x`, "budget_exceeded"},
	{"endless toString", "return `${{ toString() { for (;;); } }}`", "budget_exceeded"},
	{"endless valueOf", `return 1 + { valueOf() { for (;;); } }`, "budget_exceeded"},
	{"endless proxy", `return new Proxy({}, { get() { for (;;); } }).x`, "budget_exceeded"},
	{"endless toJSON", `return { toJSON() { for (;;); } }`, "budget_exceeded"},
	{"toJSON for ever deeper", `function o() { return { toJSON() { return { a: o() } } } } return o()`, "script_error budget_exceeded ok"},
	{"endless sort comparator", `return [3, 2, 1].sort(() => { for (;;); })`, "budget_exceeded"},
	{"endless replace callback", `return "a".replace(/a/, () => { for (;;); })`, "budget_exceeded"},
	{"endless iterator close", `for (const x of { [Symbol.iterator]() { return { next() { return { done: false } }, return() { for (;;); } } } }) break`, "budget_exceeded"},
	{"endless Symbol.species", `class A extends Array { static get [Symbol.species]() { for (;;); } } return A.from([1]).map(x => x)`, "budget_exceeded"},
	{"endless JSON reviver", `return JSON.parse("[1,2]", () => { for (;;); })`, "budget_exceeded"},
	{"endless exception getter", `throw { get message() { for (;;); } , toString() { for (;;); } }`, "budget_exceeded"},
	{"endless error name", `const e = new Error(); Object.defineProperty(e, "message", { get() { for (;;); } }); throw e`, "budget_exceeded"},
	{"endless host calls", `const c = kv.collection("c"); for (;;) c.get("a")`, "budget_exceeded"},
	{"regexp backtracking", `return /^(a+)+$/.test("a".repeat(60) + "b")`, "timeout budget_exceeded"},
	{"regexp backreferences", `return /^(a*)*\1*\1*\1*\1*\1*b/.test("a".repeat(5000))`, "timeout budget_exceeded ok"},
	{"regexp lookahead", `return /(?=(a+))*(?=(a+))*c/.test("a".repeat(100000))`, "timeout budget_exceeded ok script_error"},
	{"with label", `a: for (;;) { for (;;) { continue a } }`, "budget_exceeded"},

	// Catching what can't be caught.
	{"catch", `for (;;) { try { for (;;); } catch (e) {} }`, "budget_exceeded"},
	{"finally", `try { for (;;); } finally { return "escaped" }`, "budget_exceeded"},
	{"promise executor", `return new Promise(() => { for (;;); }).catch(() => "escaped")`, "budget_exceeded"},
	{"async catch", `return (async () => { try { for (;;); } catch (e) { return "escaped" } })()`, "budget_exceeded"},
	{"then catch", `return Promise.resolve().then(() => { for (;;); }).catch(() => "escaped").finally(() => "escaped")`, "budget_exceeded"},
	{"generator finally", `function* g() { try { yield 1 } finally { for (;;); } } const i = g(); i.next(); try { i.return(1) } catch (e) {} return "escaped"`, "budget_exceeded"},
	{"async generator", `return (async () => { async function* g() { try { for (;;); } finally { yield 1 } } try { for await (const x of g()) return "escaped" } catch (e) { return "escaped" } })()`, "budget_exceeded"},
	{"catch fatal", `try { ctx.commit() } catch (e) { return "escaped" } finally { return "escaped" }`, "internal"},
	{"catch fatal in promise", `return Promise.resolve().then(() => ctx.commit()).catch(() => "escaped")`, "internal"},
	{"catch out of memory", `const a = []; try { for (;;) a.push(new Array(10000).fill(1)) } catch (e) {} a.length = 0; let s = 0; for (let i = 0; i < 1000; i++) s += i; return "escaped"`, "memory"},

	// Memory.
	{"array push", `const a = []; for (;;) a.push({})`, "memory budget_exceeded"},
	{"string doubling", `let s = "x"; for (;;) s += s + "y"`, "memory script_error"},
	{"string repeat", `return "x".repeat(2 ** 30 - 2)`, "memory script_error"},
	{"padStart", `return "x".padStart(2 ** 29)`, "memory script_error"},
	{"string join", `return new Array(2 ** 26).join("abcdefgh")`, "memory script_error"},
	{"huge array", `return new Array(2 ** 32 - 1).fill(0)`, "memory script_error"},
	{"huge buffer", `return new ArrayBuffer(2 ** 33).byteLength`, "memory script_error"},
	{"many buffers", `const a = []; for (;;) a.push(new Uint8Array(2 ** 20))`, "memory"},
	{"buffer growth", `const b = new ArrayBuffer(8, { maxByteLength: 2 ** 40 }); b.resize(2 ** 39); return b.byteLength`, "memory script_error"},
	{"map", `const m = new Map(); for (let i = 0; ; i++) m.set(i, i)`, "memory budget_exceeded"},
	{"set of strings", `const m = new Set(); for (let i = 0; ; i++) m.add("key" + i)`, "memory budget_exceeded"},
	{"closures", `let f = null; for (;;) { const g = f; f = () => g }`, "memory budget_exceeded"},
	{"symbols", `const a = []; for (;;) a.push(Symbol("x"))`, "memory budget_exceeded"},
	{"property names", `const o = {}; for (let i = 0; ; i++) o["p" + i] = i`, "memory budget_exceeded"},
	{"bigint", `let n = 2n; for (;;) n = n * n`, "memory timeout script_error budget_exceeded"},
	{"bigint power", `return String(2n ** 10000000n).length`, "memory timeout script_error budget_exceeded"},
	{"regexp source", `return new RegExp("(a|b)".repeat(2000000)).test("x")`, "memory script_error budget_exceeded timeout"},
	{"cycles are collected", `for (let i = 0; i < 300000; i++) { const a = {}; a.a = a } return "ok"`, "ok"},
	{"garbage is collected", `let n = 0; for (let i = 0; i < 60; i++) n += "x".repeat(1000000).length; return n`, "ok timeout"},
	{"promise chain", `let p = Promise.resolve(); for (;;) p = p.then(() => 1)`, "memory budget_exceeded"},
	{"json output", `const a = []; for (let i = 0; i < 20; i++) a.push(a.slice()); return a`, "memory ok script_error budget_exceeded"},
	{"iterator of nothing", `return Array.from({ length: 4000000 }, (_, i) => ({ i }))`, "memory budget_exceeded"},

	// Stack.
	{"recursion", `function f() { return f() + 1 } return f()`, "script_error"},
	{"recursion caught", `function f() { return f() + 1 } try { f() } catch (e) { return "ok" }`, "ok"},
	{"recursion by getter", `const o = { get a() { return this.a } }; return o.a`, "script_error"},
	{"recursion by toString", `const o = { toString() { return "" + o } }; return "" + o`, "script_error"},
	{"recursion by proxy", `const p = new Proxy({}, { get(t, k, r) { return r[k] } }); return p.x`, "script_error"},
	{"proxy of proxy", `let p = {}; for (let i = 0; i < 100000; i++) p = new Proxy(p, {}); return p.x`, "ok script_error memory"},
	{"prototype chain", `let o = {}; for (let i = 0; i < 100000; i++) o = Object.create(o); return o.missing === undefined`, "ok memory"},
	{"bind of bind", `let f = () => 1; for (let i = 0; i < 100000; i++) f = f.bind(null); return f()`, "ok script_error memory"},
	{"deep JSON", `let a = []; for (let i = 0; i < 100000; i++) a = [a]; return a`, "script_error memory ok"},
	{"deep JSON.parse", `return JSON.parse("[".repeat(500000))`, "script_error memory"},
	{"deep JSON.parse closed", `return JSON.parse("[".repeat(200000) + "]".repeat(200000)).length`, "script_error memory"},
	{"deep regexp", `return new RegExp("(".repeat(200000) + ")".repeat(200000)).test("")`, "script_error memory"},
	{"deep free", `let a = null; for (let i = 0; i < 300000; i++) a = [a]; a = null; return "ok"`, "ok memory"},
	{"deep flat", `let a = []; for (let i = 0; i < 50000; i++) a = [a]; return a.flat(Infinity).length`, "ok script_error memory"},
	{"deep rope", `let s = ""; for (let i = 0; i < 300000; i++) s = "a" + s + "b"; return s.length`, "ok timeout memory"},
	{"deep then", `let p = 1; for (let i = 0; i < 50000; i++) { const q = p; p = { then(ok) { ok(q) } } } return p`, "ok script_error memory"},
	{"sort recursion", `function f() { [2, 1].sort(f) } f()`, "script_error"},
	{"replace recursion", `function f() { return "a".replace(/a/, f) } return f()`, "script_error"},

	// Natives that never poll.
	{"indexOf of a fake length", `return Array.prototype.indexOf.call({ length: 2 ** 53 - 1 }, 1)`, "script_error"},
	{"reverse of a fake length", `return Array.prototype.reverse.call({ length: 2 ** 53 - 1 })`, "script_error"},
	{"forEach of a fake length", `return Array.prototype.forEach.call({ length: 2 ** 53 - 1 }, () => 1)`, "script_error"},
	{"join of a fake length", `return Array.prototype.join.call({ length: 2 ** 53 - 1 })`, "script_error"},
	{"sparse array", `const a = []; a.length = 2 ** 32 - 1; return a.indexOf(1)`, "script_error"},
	{"sparse sort", `const a = []; a.length = 2 ** 32 - 1; return a.sort()`, "script_error"},
	{"sparse spread", `const a = []; a.length = 2 ** 32 - 1; return [...a].length`, "script_error memory"},
	{"Array.from of a fake length", `return Array.from({ length: 2 ** 40 }).length`, "script_error"},
	{"String.raw", `return String.raw({ raw: { length: 2 ** 53 - 1 } })`, "script_error"},
	{"lying getter", `let n = 0; return Array.prototype.indexOf.call({ get length() { return n++ ? 2 ** 53 - 1 : 1 } }, 1)`, "timeout"},
	{"lying proxy", `let n = 0; return Array.prototype.lastIndexOf.call(new Proxy({}, { get(t, k) { return k === "length" ? (n++ ? 2 ** 53 - 1 : 1) : undefined } , has() { return false } }), 1)`, "timeout budget_exceeded"},
	{"native over proxy without traps", `let n = 0; const t = { get length() { return n++ ? 2 ** 53 - 1 : 1 } }; return Array.prototype.includes.call(new Proxy(t, {}), 1)`, "timeout"},
	{"quadratic indexOf", `const a = "a".repeat(2000000); return (a + a).indexOf(a.slice(1) + "b")`, "timeout"},
	{"caught quadratic indexOf", `const a = "a".repeat(2000000); try { return (a + a).indexOf(a.slice(1) + "b") } finally { return "escaped" }`, "timeout"},
	{"set of a sparse array", `const a = []; a.length = 2 ** 32 - 1; return new Set(a).size`, "timeout script_error"},
	{"typed array of a fake length", `return new Uint8Array({ length: 2 ** 32 }).length`, "script_error memory timeout"},
	{"apply with a fake length", `return Math.max.apply(null, { length: 2 ** 32 })`, "script_error memory"},
	{"JSON.stringify with a fake list", `const a = []; a.length = 2 ** 32 - 1; return JSON.stringify({}, a)`, "script_error"},
	{"bigint toString", `let n = 3n; for (let i = 0; i < 19; i++) n *= n; return n.toString().length`, "ok timeout script_error budget_exceeded memory"},
	{"locale compare", `return ["a", "b"].sort((a, b) => a.localeCompare(b)).join()`, "ok"},
	{"normalize", `let s = "a\u0301".repeat(2000000); for (;;) s.normalize("NFD")`, "timeout budget_exceeded memory"},

	// Ways out.
	{"eval", `return eval("1")`, "script_error"},
	{"indirect eval", `return (0, globalThis["ev" + "al"])("1")`, "script_error"},
	{"Function", `return Function("return 1")()`, "script_error"},
	{"function constructor", `return (function () {}).constructor("return 1")()`, "script_error"},
	{"async constructor", `return (async () => {}).constructor("return 1")()`, "script_error"},
	{"generator constructor", `return (function* () {}).constructor("return 1")()`, "script_error"},
	{"async generator constructor", `return (async function* () {}).constructor("return 1")()`, "script_error"},
	{"class constructor", `return new (class extends Object.getPrototypeOf(class {}).constructor {})("return 1")`, "script_error"},
	{"Reflect.construct", `return Reflect.construct(Object.getPrototypeOf(Array).constructor, ["return 1"])`, "script_error"},
	{"bound constructor", `return log.info.constructor("return 1")()`, "script_error"},
	{"error constructor chain", `try { null.x } catch (e) { return e.constructor.constructor("return 1")() }`, "script_error"},
	{"SharedArrayBuffer", `return new SharedArrayBuffer(8)`, "script_error"},
	{"Atomics", `return Atomics.wait(new Int32Array(8), 0, 0)`, "script_error"},
	{"setTimeout", `setTimeout("1", 1)`, "script_error"},
	{"globals", `return [typeof std, typeof os, typeof require, typeof process, typeof print, typeof __host, typeof host, typeof Worker, typeof WebAssembly].every(x => x === "undefined") ? "ok" : fail`, "ok"},
	{"import", `return import("fs")`, "script_error"},
	{"import os", `return import("os")`, "script_error"},
	{"import std", `return import("std")`, "script_error"},

	// Breaking what everybody uses.
	{"polluted prototypes", `Object.prototype.toJSON = () => "x"; Array.prototype.push = null; JSON.parse = JSON.stringify = null; String.prototype.charAt = null; log.info("still"); return { a: 1 }`, "ok script_error"},
	{"setter on Object.prototype", `Object.defineProperty(Object.prototype, "name", { set() { for (;;); } }); return { a: 1 }`, "ok budget_exceeded"},
	{"then on Object.prototype", `Object.prototype.then = function (ok) { for (;;); }; return { a: 1 }`, "budget_exceeded"},
	{"globals removed", `for (const k of Object.getOwnPropertyNames(globalThis)) { try { delete globalThis[k] } catch (e) {} } return 1`, "ok script_error"},
	{"globals frozen", `Object.freeze(globalThis); Object.freeze(Object.prototype); return 1`, "ok"},
	{"promise replaced", `globalThis.Promise = null; Object.prototype.constructor = null; return (async () => 1)()`, "ok script_error"},
	{"symbol iterator", `Array.prototype[Symbol.iterator] = null; return [1]`, "ok"},
	{"error prepare", `Error.prepareStackTrace = () => { for (;;); }; Error.stackTraceLimit = 1e9; throw new Error("x")`, "script_error budget_exceeded"},
	{"surface replaced", `try { kv.collection = null } catch (e) {} try { globalThis.kv = null } catch (e) {} try { log.info = () => { for (;;); } } catch (e) {} return kv.collection("c").get("a") === undefined`, "ok script_error"},
	{"host by getter", `Object.defineProperty(Object.prototype, "collection", { get() { for (;;); } }); return kv.collection("c").has("a")`, "ok script_error budget_exceeded"},
	{"arguments that fight back", `return kv.collection({ toString() { for (;;); } }).get({ toJSON() { for (;;); } })`, "budget_exceeded script_error"},
	{"values that fight back", `kv.collection("c").set("k", new Proxy({}, { ownKeys() { for (;;); } }))`, "budget_exceeded"},
	{"status that fights back", `return { get statusCode() { for (;;); } }`, "budget_exceeded"},
	{"headers that fight back", `return { statusCode: 200, headers: new Proxy({}, { ownKeys() { for (;;); } }) }`, "budget_exceeded"},
	{"web classes after tampering", `Object.defineProperty = Object.create = null; Array.prototype.push = Array.prototype.map = null; Map = Promise = undefined; return new Response("x", {headers: {a: "b"}})`, "ok script_error"},
	{"web classes replaced", `for (const n of ["Headers", "Request", "Response", "URL"]) globalThis[n] = () => { for (;;); }; return typeof Response`, "ok"},
	{"web classes frozen out", `Object.freeze(globalThis); return new Response(new URL("http://a/b").pathname)`, "ok script_error"},
	{"getter for a web class", `Object.defineProperty(globalThis, "Response", { get() { for (;;); }, configurable: true }); return { a: 1 }`, "ok"},
	{"throwing headers", `return new Response("x", { headers: { get a() { throw new Error("mine") } } })`, "script_error"},
	{"endless headers", `return new Response("x", { headers: { *[Symbol.iterator]() { for (;;) yield ["a", "b"] } } })`, "budget_exceeded memory"},
	{"giant headers", `const h = new Headers(); for (let i = 0; i < 20000; i++) h.append("h" + i, "x".repeat(100)); return new Response("x", { headers: h })`, "ok budget_exceeded memory"},
	{"giant header value", `return new Response("x", { headers: { a: "b".repeat(8000000) } })`, "ok budget_exceeded memory timeout"},
	{"a false Response", `return Object.create(Response.prototype)`, "ok script_error"},
	{"a proxy of a Response", `return new Proxy(new Response("x"), {})`, "ok script_error"},
	{"methods on a false this", `return Response.prototype.text.call({})`, "script_error"},
	{"a body of traps", `return new Response({ toString() { for (;;); } })`, "budget_exceeded"},
	{"an endless stream", `return new Response(new ReadableStream({ pull(c) { c.enqueue("x") } }))`, "budget_exceeded memory"},
	{"a stream that hangs", `return new Response(new ReadableStream({}))`, "script_error"},
	{"a stream of false bytes", `return new Response(ReadableStream.from([{ length: 2 ** 40 }])).text()`, "script_error"},
	{"a detached buffer", `const b = new ArrayBuffer(8); const u = new Uint8Array(b); b.transfer(); return new Response(u).text()`, "script_error ok"},
	{"a shrunk buffer", `const b = new ArrayBuffer(8000, { maxByteLength: 8000 }); const u = new Uint8Array(b); b.resize(1); return new TextDecoder().decode(u)`, "ok script_error"},
	{"base64 of much", `return atob(btoa("x".repeat(3000000))).length`, "ok budget_exceeded memory timeout"},
	{"urls without end", `for (;;) { try { new URL("http://a.b/c?d#e") } catch (e) {} }`, "budget_exceeded timeout"},
	{"a giant URL", `return new URL("http://a/" + "x".repeat(5000000))`, "script_error"},
	{"a deep clone", `let o = {}; for (let i = 0; i < 100000; i++) o = { o }; return structuredClone(o)`, "script_error memory budget_exceeded"},
	{"a clone of a proxy", `return structuredClone(new Proxy({}, { ownKeys() { for (;;); } }))`, "budget_exceeded"},
	{"abort in a circle", `const c = new AbortController(); c.signal.onabort = () => c.abort(); c.signal.addEventListener("abort", () => { for (;;); }); c.abort()`, "budget_exceeded"},
	{"a form without end", `const f = new FormData(); for (;;) f.append("a", "b")`, "memory budget_exceeded"},
	{"microtasks without end", `function f() { queueMicrotask(f) } f()`, "budget_exceeded"},
	{"modules out of nothing", `for (let i = 0; ; i++) import("app:x" + i).catch(() => {})`, "budget_exceeded memory"},
	{"log flood", `for (let i = 0; i < 100000; i++) log.info("x".repeat(100)); return 1`, "ok budget_exceeded timeout"},
	{"output flood", `return "x".repeat(9000000)`, "ok budget_exceeded memory"},
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
	for i, tt := range hostile {
		if raceEnabled && i%8 != 0 && os.Getenv("PICLOUD_LONG") == "" {
			continue // the same code runs in all of them, and slowly
		}
		t.Run(tt.name, func(t *testing.T) {
			p, err := e.Compile("main", "export default function (ctx) { "+tt.body+" }")
			if err != nil {
				t.Fatal(err)
			}
			c, err := e.NewContext(p, limits)
			if err != nil {
				t.Fatal(err)
			}
			begin := time.Now()
			finished, f := c.Run(newHost(`{"a":1}`), Budget{Ctx: t.Context(), Deadline: begin.Add(timeFor(tt.want)), Limits: limits})
			if got := endKind(f); !allowed(tt.want, got) {
				t.Errorf("got %s (%s), want %s", got, clip(outcome(finished, f), 200), tt.want)
			}
			if took := time.Since(begin); took > timeFor(tt.want)+10*time.Second {
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
	for i, tt := range hostile {
		if raceEnabled && i%8 != 0 {
			continue
		}
		programs = append(programs, mustCompile(t, e, "export default function (ctx) { "+tt.body+" }"))
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
