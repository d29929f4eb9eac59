package executor

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	lib "modernc.org/libquickjs"

	"picloud/app/cloud"
)

// fakeHost is a Host with a map for a store.
type fakeHost struct {
	input string
	kv    map[string]string
	logs  []string
	calls int
}

func newHost(input string) *fakeHost { return &fakeHost{input: input, kv: map[string]string{}} }

func (h *fakeHost) Context() []byte { return []byte(h.input) }

func (h *fakeHost) Host(op, args string) (string, error) {
	h.calls++
	var a []json.RawMessage
	if err := json.Unmarshal([]byte(args), &a); err != nil {
		return `!["invalid","the arguments are not JSON"]`, nil
	}
	a = append(a, nil, nil) // those that a worker may leave out
	switch op {
	case "log":
		h.logs = append(h.logs, string(a[0]))
	case "kv.get":
		return h.kv[string(a[0])], nil
	case "kv.set":
		h.kv[string(a[0])] = string(a[1])
	case "echo":
		return string(a[0]), nil
	case "fatal", "ctx.commit":
		return "", errFatalTest
	case "refuse":
		return `!["invalid","no"]`, nil
	}
	return "", nil
}

var errFatalTest = errors.New("fatal")

var testLimits = fill(cloud.Limits{}, cloud.Limits{
	Operations: 20_000_000, MemoryBytes: 32 << 20, StackBytes: defaultStack, OutputBytes: defaultOutput, LogBytes: defaultLogBytes,
	LogLines: defaultLogLines, Writes: defaultWrites, WriteBytes: defaultWriteBytes,
})

func budget(d time.Duration) Budget {
	return Budget{Ctx: context.Background(), Deadline: time.Now().Add(d), Limits: testLimits}
}

func testQuickJS(t testing.TB) Engine { return quickOf(t, testIsolation(), testPrelude) }

// start compiles source and makes a context that is closed at the end of the test.
func start(t testing.TB, e Engine, source string) Context {
	t.Helper()
	p, err := e.Compile("main", source)
	if err != nil {
		t.Fatal(err)
	}
	c, err := e.NewContext(p, testLimits)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// outcome is one run as a line of text: the answer, or the kind and trace of the failure.
func outcome(finished string, f *Failure) string {
	if f == nil {
		return finished
	}
	pos := ""
	if f.Trace.Line > 0 {
		pos = fmt.Sprintf(" at %s:%d:%d", f.Trace.File, f.Trace.Line, f.Trace.Column)
	}
	return fmt.Sprintf("%s: %s%s", cloud.KindOf(f.Err), f.Trace.Message, pos)
}

func testOtto(t testing.TB) Engine { return ottoOf(t, testIsolation(), testPrelude) }

// conformance is what both engines answer. otto is what it alone answers: "-" for a case
// that it can't know, being of ES5.
var conformance = []struct {
	name, source, input, want, otto string
}{
	{"undefined", `module.exports = function () {}`, `{}`, `v`, ""},
	{"echo", `module.exports = function (c) { return c }`, `{"x":[1,"ä\u0000b",null,true]}`, `v{"x":[1,"ä\u0000b",null,true]}`, ""},
	{"handler", `exports.handler = function (c) { "use strict"; return this === undefined }`, `{}`, `vtrue`, `vfalse`},
	{"default", `exports["default"] = function (c) { return 2 }`, `{}`, `v2`, ""},
	{"both words", `module.exports = { handler: function (c) { return c.a } }`, `{"a":1}`, `v1`, ""},
	{"throw", "module.exports = function () {\n\n  throw new TypeError('boom')\n}", `{}`, `script_error: TypeError: boom at main.js:3:22`, `script_error: TypeError: boom at main.js:3:13`},
	{"throw on the first line", "module.exports = function () { throw new Error('p') }", `{}`, `script_error: Error: p at main.js:1:47`, `script_error: Error: p at main.js:1:42`},
	{"null access", "module.exports = function (c) {\n  var a = null;\n  return a.b;\n}", `{}`, `script_error: TypeError: cannot read property 'b' of null at main.js:3:11`,
		`script_error: TypeError: Cannot access member "b" of null at main.js:3:10`},
	{"throw string", `module.exports = function () { throw "s" }`, `{}`, `script_error: threw s`, ""},
	{"throw null", `module.exports = function () { throw null }`, `{}`, `script_error: threw null`, ""},
	{"http error", `module.exports = function () { throw new HttpError(418, {a: 1}) }`, `{}`, `h[418,{"a":1}]`, ""},
	{"no handler", `module.exports = 5`, `{}`, noHandlerText, ""},
	{"top-level throw", "var a = 1\nthrow new Error('load' + module.exports)", `{}`, `script_error: Error: load[object Object] at main.js:2:16`, `script_error: Error: load[object Object] at main.js:2:11`},
	{"refused host call", `module.exports = function () { try { call("refuse") } catch (e) { return e.name + ":" + e.message } }`, `{}`, `v"invalid:no"`, ""},
	{"host value", `module.exports = function () { return call("echo", {a: [1, "ü"]}) }`, `{}`, `v{"a":[1,"ü"]}`, ""},
	{"host undefined", `module.exports = function () { return call("nothing") === undefined }`, `{}`, `vtrue`, ""},
	{"fatal host call", `module.exports = function () { try { call("fatal") } catch (e) {} finally { return 1 } }`, `{}`, `internal: ` + cloud.Message(errFatalTest), ""},
	{"data while loading", `var e; try { kv.set("a", 1) } catch (x) { e = x.name } module.exports = function () { return e }`, `{}`, `v"invalid"`, ""},
	{"log while loading", `log.info("up"); module.exports = function () { return 1 }`, `{}`, `v1`, ""},
	{"require", `require("fs"); module.exports = function () {}`, `{}`, `script_error: TypeError: ` + requireMessage + ` at main.js:1:8`, `script_error: TypeError: ` + requireMessage + ` at main.js:1:1`},
	{"no eval", `module.exports = function () { return [typeof eval, typeof Function, typeof (function () {}).constructor] }`, `{}`, `v["undefined","undefined","undefined"]`, ""},
	{"json", `module.exports = function () { return JSON.parse(JSON.stringify({d: new Date(0), n: 1.5})) }`, `{}`, `v{"d":"1970-01-01T00:00:00.000Z","n":1.5}`, ""},
	{"regexp", `module.exports = function () { return "a1b22".replace(/\d+/g, function (m) { return "<" + m + ">" }) }`, `{}`, `v"a<1>b<22>"`, `v"a\u003c1\u003eb\u003c22\u003e"`},
	{"module state", `var n = 0; module.exports = function () { n++; return n > 0 }`, `{}`, `vtrue`, ""},

	{"default export", `export default function (ctx) { return {sum: ctx.a + 1} }`, `{"a":2}`, `v{"sum":3}`, "-"},
	{"arrow", `export default (c) => c`, `{"x":1}`, `v{"x":1}`, "-"},
	{"async", `export default async (c) => { await null; return await Promise.resolve(c.a) }`, `{"a":5}`, `v5`, "-"},
	{"top-level await", `const x = await Promise.resolve(7); export default () => x`, `{}`, `v7`, "-"},
	{"thenable", `export default () => ({then(ok) { ok(3) }})`, `{}`, `v3`, "-"},
	{"job nobody waits for", `let n = 0; export default () => { Promise.resolve().then(() => { n++ }); return n >= 0 }`, `{}`, `vtrue`, "-"},
	{"never settles", `export default () => new Promise(() => {})`, `{}`, `script_error: TypeError: the handler's promise never settles: there is nothing left to wait for`, "-"},
	{"async throw", "export default async () => {\n  await null\n  null.x\n}", `{}`, `script_error: TypeError: cannot read property 'x' of null at main.js:3:7`, "-"},
	{"rejection nobody waits for", "export default () => {\n  (async () => { await null; throw new Error('lost') })();\n  return 1\n}", `{}`, `script_error: Error: lost at main.js:2:45`, "-"},
	{"rejection handled late", `export default async () => { const p = Promise.reject(1); await null; try { await p } catch (e) { return e } }`, `{}`, `v1`, "-"},
	{"rejection caught", `export default () => { Promise.reject(1).catch(() => {}); return Promise.allSettled([Promise.reject(2)]).then(r => r.length) }`, `{}`, `v1`, "-"},
	{"rejection with a throw", `export default async () => { Promise.reject(new Error("first")); throw new Error("own") }`, `{}`, `script_error: Error: own at main.js:1:81`, "-"},
	{"async http error", `export default async () => { throw new HttpError(418, {a: 1}) }`, `{}`, `h[418,{"a":1}]`, "-"},
	{"not a function", `export default 5`, `{}`, noHandlerText, "-"},
	{"dynamic import", `export default async () => { try { await import("x") } catch (e) { return e.name } }`, `{}`, `v"ReferenceError"`, "-"},
	{"es2023", `export default () => [3,1,2].toSorted().findLast(x => x < 3) + [1].at(-1)`, `{}`, `v3`, "-"},
	{"generator", `function* g() { yield 1; yield 2 } export default () => [...g()]`, `{}`, `v[1,2]`, "-"},
	{"bigint", `export default () => String(2n ** 64n)`, `{}`, `v"18446744073709551616"`, "-"},
	{"class", `class A { #x = 1; get x() { return this.#x } static s = 2 } export default () => new A().x + A.s`, `{}`, `v3`, "-"},
	{"unicode regexp", `export default () => "äö".match(/\p{L}+/u)[0]`, `{}`, `v"äö"`, "-"},
}

const noHandlerText = `script_error: the script exports no handler: export default function (ctx) { … }, or module.exports = function (ctx) { … }`

func TestConformance(t *testing.T) {
	t.Parallel()
	for engine, e := range map[string]Engine{"quickjs": testQuickJS(t), "otto": testOtto(t)} {
		for _, tt := range conformance {
			want := tt.want
			if engine == "otto" && tt.otto == "-" {
				continue
			} else if engine == "otto" && tt.otto != "" {
				want = tt.otto
			}
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				c := start(t, e, tt.source)
				for i := range 3 {
					if got := outcome(c.Run(newHost(tt.input), budget(time.Minute))); got != want {
						t.Errorf("run %d: got %s, want %s", i, got, want)
					}
					if c.Spent() {
						break
					}
				}
			})
		}
	}
}

func TestCompileErrors(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, source, quickjs, otto string }{
		{"syntax", "module.exports = function () {\n  var 1x;\n}", "line 2, column 7", "line 2, column 7"},
		{"first line", "module.exports = = 1", "line 1, column 18", "line 1, column 18"},
		{"unclosed", "module.exports = function () {", "line 1, column 31", "line 1, column 31"},
		{"out of the wrapper", "}); (function () { module.exports", "line 1, column 1", "line 1, column 1"},
		{"import", `import x from "fs"; export default () => x`, "imports 'fs': a script can import only modules of its app", "line 1, column 1"},
		{"no export", "function f() {}", "has no default export", "exports nothing"},
		{"other export", "export const a = 1", "has no default export", "line 1, column 1"},
		{"nesting", "module.exports = " + strings.Repeat("(", 100_000), "main.js", "nested too deeply"},
		{"chain", "module.exports = 1" + strings.Repeat("+1", 100_000) + "+", "main.js", "too long"},
		{"nested arrays", "module.exports = " + strings.Repeat("[", 50_000) + strings.Repeat("]", 50_000), "main.js", "nested too deeply"},
	}
	for engine, e := range map[string]Engine{"quickjs": testQuickJS(t), "otto": testOtto(t)} {
		for _, tt := range tests {
			want := tt.quickjs
			if engine == "otto" {
				want = tt.otto
			}
			t.Run(engine+"/"+tt.name, func(t *testing.T) {
				t.Parallel()
				_, err := e.Compile("main", tt.source)
				if cloud.KindOf(err) != cloud.Invalid || !strings.Contains(cloud.Message(err), want) {
					t.Errorf("got %v, want invalid with %q", err, want)
				}
			})
		}
	}
}

func TestOperationBudget(t *testing.T) {
	t.Parallel()
	for engine, e := range map[string]Engine{"quickjs": testQuickJS(t), "otto": testOtto(t)} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			const source = `var n = 0; module.exports = function (c) { for (n = 0; n < c.n; n++) {} return n }`
			run := func(n, ops int64) string {
				c := start(t, e, source)
				b := budget(time.Minute)
				b.Limits.Operations = ops
				return outcome(c.Run(newHost(fmt.Sprintf(`{"n":%d}`, n)), b))
			}
			if got := run(1000, 100_000); got != "v1000" {
				t.Errorf("within the budget: got %s", got)
			}
			for range 2 {
				if got, want := run(1_000_000_000, 100_000), "budget_exceeded: the operation budget of 100000 was used up"; !strings.HasPrefix(got, want) {
					t.Errorf("beyond it: got %s, want %s", got, want)
				}
			}
		})
	}
}

// TestStopsHavePositions checks that the author of an endless loop is told where it is: the
// last position before it that the engine knows.
func TestStopsHavePositions(t *testing.T) {
	t.Parallel()
	e := testQuickJS(t)
	for _, tt := range []struct{ name, source, want string }{
		{"sync", "module.exports = function () {\n  f()\n}\nfunction f() {\n  for (;;);\n}", "main.js:4:1"},
		{"call", "module.exports = function () {\n  for (;;)\n    f()\n}\nfunction f() {}", "main.js:3:6"},
		{"async", "export default async () => {\n  await null\n\n\n  for (;;);\n}", "main.js:2:3"},
		{"at start", "let a = 1\nlet b = String(a)\nfor (;;);\nexport default 1", "main.js:2:7"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b := budget(time.Minute)
			b.Limits.Operations = 10_000
			_, f := start(t, e, tt.source).Run(newHost(`{}`), b)
			if got := outcome("", f); !strings.HasSuffix(got, " at "+tt.want) {
				t.Errorf("got %s, want it at %s", got, tt.want)
			}
		})
	}
}

func TestContextsAreReplacedAfterManyUses(t *testing.T) {
	t.Parallel()
	c := start(t, testQuickJS(t), `module.exports = function () {}`)
	h := newHost(`{}`)
	for i := range contextUses {
		if c.Spent() {
			t.Fatalf("spent after %d runs", i)
		}
		if _, f := c.Run(h, budget(time.Minute)); f != nil {
			t.Fatal(f.Err)
		}
	}
	if !c.Spent() {
		t.Errorf("not spent after %d runs", contextUses)
	}
}

// TestRunsLeaveNothingBehind runs what touches guards, promises and errors many times: a
// reference that is not given back would show as growth.
func TestRunsLeaveNothingBehind(t *testing.T) {
	t.Parallel()
	c := start(t, quickOf(t, InProcess, testPrelude), `export default async (ctx) => {
		String.raw({ get raw() { return new Array(1000).fill("x") } });
		Array.from([1, 2, 3]).map(x => x + 1).includes(2);
		JSON.stringify({ a: 1 }, ["a"]);
		Promise.reject(new Array(1000)).catch(() => 1);
		try { [].reduce() } catch (e) {}
		try { call("refuse") } catch (e) {}
		await ({ then(ok) { ok(1) } });
		if (ctx.n % 2) throw new Error("odd");
		return { then(ok) { ok(new Array(1000).fill(1)) } };
	}`).(*quickContext)
	for i := range 200 {
		_, f := c.Run(newHost(fmt.Sprintf(`{"n":%d}`, i)), budget(time.Minute))
		if odd := i%2 == 1; (f != nil) != odd || f != nil && cloud.KindOf(f.Err) != cloud.ScriptError {
			t.Fatalf("run %d: %+v", i, f)
		}
		if i == 49 {
			lib.XJS_RunGC(c.tls, c.rt)
			c.base = c.used()
		}
	}
	lib.XJS_RunGC(c.tls, c.rt)
	if grown := c.used() - c.base; grown > 32<<10 {
		t.Errorf("150 runs left %d bytes behind", grown)
	}
}

func TestContextsAreReplacedWhenTheyGrow(t *testing.T) {
	t.Parallel()
	c := start(t, testQuickJS(t), `var keep = []; module.exports = function () { keep.push(new ArrayBuffer(9 << 20)) }`)
	for range 3 {
		if _, f := c.Run(newHost(`{}`), budget(time.Minute)); f != nil {
			t.Fatal(f.Err)
		}
	}
	if !c.Spent() {
		t.Error("a context that keeps 27 MiB is not spent")
	}
}

func TestCancelStopsAScript(t *testing.T) {
	t.Parallel()
	for engine, e := range map[string]Engine{"quickjs": testQuickJS(t), "otto": testOtto(t)} {
		t.Run(engine, func(t *testing.T) {
			t.Parallel()
			c := start(t, e, `module.exports = function () { call("cancel"); for (;;); }`)
			ctx, cancel := context.WithCancel(t.Context())
			b := budget(time.Minute)
			b.Ctx, b.Limits.Operations = ctx, 1<<60
			_, f := c.Run(&cancelHost{newHost(`{}`), cancel}, b)
			if f == nil || cloud.KindOf(f.Err) != cloud.Overloaded {
				t.Errorf("got %v, want overloaded", f)
			}
		})
	}
}

// Cancelling was looked at when the count of operations was a multiple of 1600, which it never
// is again once a promise has counted 10.
func TestCancelStopsAScriptWithPromises(t *testing.T) {
	t.Parallel()
	for name, rest := range map[string]string{"loop": `for (;;);`, "jobs": `for (;;) await null;`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := start(t, testQuickJS(t), `module.exports = async function () { await null; call("cancel"); `+rest+` }`)
			ctx, cancel := context.WithCancel(t.Context())
			b := budget(20 * time.Second)
			b.Ctx, b.Limits.Operations = ctx, 1<<60
			_, f := c.Run(&cancelHost{newHost(`{}`), cancel}, b)
			if f == nil || cloud.KindOf(f.Err) != cloud.Overloaded {
				t.Errorf("got %v, want overloaded", f)
			}
			if !time.Now().Before(b.Deadline) {
				t.Error("it was cancelled, and ran on until its deadline")
			}
		})
	}
}

type cancelHost struct {
	*fakeHost
	cancel func()
}

func (h *cancelHost) Host(op, args string) (string, error) {
	h.cancel()
	return "", nil
}

// TestOttoIsLeftBehindWhenStuck has a native of otto run on after its time: a host call here,
// which no engine can interrupt.
func TestOttoIsLeftBehindWhenStuck(t *testing.T) {
	t.Parallel()
	c := start(t, testOtto(t), `module.exports = function () { call("hang") }`)
	hang := make(chan struct{})
	defer close(hang)
	_, f := c.Run(hangingHost{newHost(`{}`), hang}, Budget{Ctx: t.Context(), Deadline: time.Now().Add(-ottoGrace), Limits: testLimits})
	if f == nil || f.Stuck != (testIsolation() == InProcess) || cloud.KindOf(f.Err) != cloud.Timeout || !c.Spent() {
		t.Errorf("got %+v, spent %v; want stuck (in this process) and a timeout", f, c.Spent())
	}
}

type hangingHost struct {
	*fakeHost
	hang chan struct{}
}

func (h hangingHost) Host(op, args string) (string, error) {
	<-h.hang
	return "", nil
}

func FuzzCompile(f *testing.F) {
	for _, tt := range conformance {
		f.Add(tt.source)
	}
	f.Add("export default `${")
	f.Add("module.exports = /(/")
	quick, ot := testQuickJS(f), testOtto(f)
	f.Fuzz(func(t *testing.T, source string) {
		if len(source) > 4096 {
			return
		}
		for _, e := range []Engine{quick, ot} {
			p, err := e.Compile("fuzz", source)
			if err != nil {
				if cloud.KindOf(err) != cloud.Invalid {
					t.Errorf("%T: %v, want invalid", e, err)
				}
				continue
			}
			c, err := e.NewContext(p, testLimits)
			if err != nil {
				t.Fatal(err)
			}
			b := budget(200 * time.Millisecond)
			b.Limits.Operations = 100_000
			c.Run(newHost(`{}`), b)
			c.Close()
		}
	})
}
