package executor

import (
	"fmt"
	"strings"
	"testing"

	"picloud/app/cloud"
)

// invokeCases are callers of the scripts below, and what they answer: a body, or the kind and
// trace of the failure.
var invokeCases = []struct{ name, source, want string }{
	{"a value", `export default () => invoke("echo", {a: [1, "ä"]})`, `{"args":{"a":[1,"ä"]},"request":false,"event":false,"depth":1,"script":"echo"}`},
	{"no arguments", `export default () => invoke("echo").args`, `null`},
	{"nothing", `export default () => [invoke("nothing") === undefined]`, `[true]`},
	{"text", `export default () => invoke("text")`, `"hi \"\\n"`},
	{"async", `export default async () => invoke("async", 20)`, `21`},
	{"a status is only a value", `export default () => invoke("status").other`, `5`},
	{"a throw", "export default () => {\n  try { invoke(\"throws\", \"x\") } catch (e) { return [e.name, e.message, e instanceof Error, /throws.js:2:/.test(e.stack), /main.js:2:/.test(e.stack)] }\n}", `["RangeError","bad x",true,true,true]`},
	{"a throw let through", "export default () => {\n  invoke(\"throws\", \"x\")\n}", `script_error: RangeError: bad x at main.js:2`},
	{"an SDK error", `export default () => { try { invoke("sdk") } catch (e) { return [e.name, e.message] } }`, `["invalid","this is not hex"]`},
	{"an HttpError", `export default () => { try { invoke("teapot") } catch (e) { return [e instanceof HttpError, e.status, e.body] } }`, `[true,418,{"a":1}]`},
	{"an HttpError let through", `export default () => invoke("teapot")`, `{"a":1}`},
	{"otto", `export default () => invoke("otto", 2)`, `4`},
	{"from otto", ``, `21`},
	{"missing", `export default () => { try { invoke("nope") } catch (e) { return [e.name, e.message] } }`, `["not_found","invoke: the app has no script \"nope\""]`},
	{"another app's", `export default () => { try { invoke("foreign") } catch (e) { return e.name } }`, `"not_found"`},
	{"does not compile", `export default () => { try { invoke("broken") } catch (e) { return e.name } }`, `"invalid"`},
	{"no handler", `export default () => { try { invoke("handlerless") } catch (e) { return e.message } }`, `"handlerless: the script exports no handler: export default function (ctx) { … }, or module.exports = function (ctx) { … }"`},
	{"a response", `export default () => { try { invoke("response") } catch (e) { return e.name } }`, `"invalid"`},
	{"a fetch handler", `export default () => { try { invoke("fetches") } catch (e) { return e.message } }`, `"the script's handler is fetch, which answers requests: for calls, export a function (ctx) from a script of its own"`},
	{"arguments JSON can't hold", `export default () => { try { invoke("echo", 1n) } catch (e) { return e.name } }`, `"invalid"`},
	{"a cycle", `export default () => invoke("cycle", 0)`, `"budget_exceeded: invoke: cycle would run at depth 9, and 8 is the limit: main → cycle → cycle → cycle → cycle → cycle → cycle → cycle → cycle → cycle"`},
	{"while it loads", "let e; try { invoke(\"echo\") } catch (x) { e = x.name } export default () => e", `"invalid"`},
	{"operations", `export default () => { try { invoke("spins") } catch (e) { return "escaped" } finally { return "escaped" } }`, `budget_exceeded: the operation budget of 100000 was used up at spins.js:1`},
	{"memory", `export default () => { try { invoke("hoards") } catch (e) { return "escaped" } }`, `budget_exceeded: the memory limit of 8 MiB was reached`},
	{"called many times", `export default () => { let n = 0; for (let i = 0; i < 200; i++) n += invoke("async", 0); return n }`, `200`},
}

func invokeScripts(s *store) {
	for name, source := range map[string]string{
		"echo":        `export default (ctx) => ({args: ctx.args, request: "request" in ctx, event: "event" in ctx, depth: ctx.depth, script: ctx.script.name})`,
		"nothing":     `export default () => {}`,
		"text":        `export default () => 'hi "\\n'`,
		"async":       `export default async (ctx) => { await null; return ctx.args + 1 }`,
		"status":      `export default () => ({statusCode: "x", other: 5})`,
		"throws":      "export default (ctx) => {\n  throw new RangeError('bad ' + ctx.args)\n}",
		"sdk":         `export default () => hex.decode("x")`,
		"teapot":      `export default async () => { throw new HttpError(418, {a: 1}) }`,
		"broken":      `export default () => {`,
		"handlerless": `export default 5`,
		"response":    `export default () => new Response("x")`,
		"fetches":     `export default { fetch() { return new Response("x") } }`,
		"cycle":       `export default (ctx) => { try { return invoke("cycle", ctx.args + 1) } catch (e) { return typeof e.message === "string" ? e.name + ": " + e.message : e } }`,
		"logs":        `export default (ctx) => { log.info("from " + ctx.args); kv.collection("c").increment("n"); if (ctx.args === "last") throw new Error("no") }`,
	} {
		s.scripts.save(cloud.Script{AppID: s.app, Name: name, Source: source})
	}
	s.scripts.save(cloud.Script{AppID: s.app, Name: "otto", Engine: cloud.EngineOtto, Source: `module.exports = function (ctx) { return ctx.args * 2 }`})
	s.scripts.save(cloud.Script{AppID: s.app, Name: "spins", Source: `export default () => { for (;;); }`, Limits: cloud.Limits{Operations: 100_000}})
	s.scripts.save(cloud.Script{AppID: s.app, Name: "hoards", Source: `export default () => { const a = []; for (;;) a.push(new Uint8Array(10000)) }`, Limits: cloud.Limits{MemoryBytes: 8 << 20}})
	s.scripts.save(cloud.Script{AppID: cloud.NewID[cloud.AppID](), Name: "foreign", Source: `export default () => 1`})
}

func TestInvoke(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	invokeScripts(s)
	for _, tt := range invokeCases {
		t.Run(tt.name, func(t *testing.T) {
			main := cloud.Script{AppID: s.app, Name: "main", Source: tt.source}
			if tt.name == "from otto" {
				main.Engine, main.Source = cloud.EngineOtto, `module.exports = function () { return invoke("async", 20) }`
			}
			saved := s.scripts.save(main)
			for range 2 {
				inv := invocation(s.app)
				inv.Script = saved.ID
				res, effects := s.Run(t.Context(), inv, nil)
				effects.Close()
				got := string(res.Body)
				if res.Err != nil {
					got = fmt.Sprintf("%s: %s at %s:%d", cloud.KindOf(res.Err), res.Trace.Message, res.Trace.File, res.Trace.Line)
				}
				if !strings.HasPrefix(got, tt.want) || strings.Contains(got, "escaped") {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

// TestInvokedScriptsShareTheUnit checks one commit, one log and one snapshot for all.
func TestInvokedScriptsShareTheUnit(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	invokeScripts(s)
	res := s.run(t, `export default () => {
		kv.collection("c").set("n", 5);
		invoke("logs", "one");
		log.warn("own");
		try { invoke("logs", "last") } catch (e) {}
		return kv.collection("c").get("n");
	}`, cloud.Limits{})
	if string(res.Body) != "7" {
		t.Errorf("got %s (%v), want 7", res.Body, res.Err)
	}
	var lines []string
	for _, l := range res.Logs {
		lines = append(lines, l.Script+":"+l.Message)
	}
	if got, want := strings.Join(lines, " "), "logs:from one :own logs:from last"; got != want {
		t.Errorf("logs: got %s, want %s", got, want)
	}
	if got := s.run(t, `export default () => kv.collection("c").get("n")`, cloud.Limits{}); string(got.Body) != "7" {
		t.Errorf("after the commit: got %s, want 7", got.Body)
	}
	s.run(t, `export default () => { invoke("logs", "two"); throw new Error("all of it") }`, cloud.Limits{})
	if got := s.run(t, `export default () => kv.collection("c").get("n")`, cloud.Limits{}); string(got.Body) != "7" {
		t.Errorf("after a throw of the caller: got %s, want 7", got.Body)
	}
}

// TestInvokeChainsAreBoundInMemory checks that contexts that wait hold no more than one may.
func TestInvokeChainsAreBoundInMemory(t *testing.T) {
	t.Parallel()
	s := newStore(t)
	s.ceiling.MemoryBytes = 16 << 20
	s.scripts.save(cloud.Script{AppID: s.app, Name: "hold", Source: `export default (ctx) => { const a = new Uint8Array(5 << 20); try { invoke("hold") } catch (e) { return e.name + ": " + e.message } return "deeper: " + a.length }`})
	res := s.run(t, `export default () => invoke("hold")`, cloud.Limits{})
	if !strings.Contains(string(res.Body), "deeper") {
		t.Errorf("got %s (%v)", res.Body, res.Err)
	}
	s.scripts.save(cloud.Script{AppID: s.app, Name: "tell", Source: `export default (ctx) => { const a = new Uint8Array(5 << 20); try { return invoke("tell") } catch (e) { return e.message + a.length } }`})
	if res := s.run(t, `export default () => invoke("tell")`, cloud.Limits{}); !strings.Contains(string(res.Body), "the scripts that wait for tell hold") {
		t.Errorf("got %s (%v), want a refusal", res.Body, res.Err)
	}
}
