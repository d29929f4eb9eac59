package sdk

import (
	"fmt"
	"strings"
	"testing"

	"modernc.org/quickjs"

	"picloud/app/cloud"
)

func TestPreludeIsOneExpression(t *testing.T) { onEngines(t, false, checkPreludeIsOneExpression) }

func checkPreludeIsOneExpression(t *testing.T, s *sandbox) {
	if got := s.value(`return typeof kv.collection`); got != `"function"` {
		t.Errorf("got %s", got)
	}
}

func TestScriptsCantBreakTheSurface(t *testing.T) {
	onEngines(t, false, checkScriptsCantBreakTheSurface)
}

func checkScriptsCantBreakTheSurface(t *testing.T, s *sandbox) {
	s.value(`
		JSON.parse = JSON.stringify = Object.defineProperty = Object.create = Array.isArray = function () { throw new Error("mine"); };
		String.prototype.substring = Array.prototype.join = function () { throw new Error("mine"); };
		Object.prototype.e = Object.prototype.v = Object.prototype.value = Object.prototype.get = "mine";
		Error = function () { throw 1; };
		log = null; kv = null; log && (log.info = null);
	`)
	s.begin(publicCall())
	if got := s.value(`log.info("still here"); return [hex.encode("a"), ctx.app.slug]`); got != `["61","demo"]` {
		t.Errorf("got %s", got)
	}
	if got := s.call.Logs(); len(got) != 1 || got[0].Message != "still here" {
		t.Errorf("got logs %v", got)
	}
	if got := s.thrown(`hex.decode("x")`); got != "invalid: this is not hex" {
		t.Errorf("got %s", got)
	}
}

func TestSurfaceIsFrozen(t *testing.T) { onEngines(t, false, checkSurfaceIsFrozen) }

func checkSurfaceIsFrozen(t *testing.T, s *sandbox) {
	got := s.value(`
		var bad = [], all = {kv: kv, log: log, console: console, random: random, time: time, regex: regex, json: json, base64: base64, hex: hex, url: url,
			crypto: crypto, deadLetters: deadLetters, HttpError: HttpError, collection: kv.collection("a").constructor.prototype};
		for (var name in all) {
			if (!Object.isFrozen(all[name]) && name !== "collection") { bad.push(name); }
			for (var f in all[name]) { if (!Object.isFrozen(all[name][f])) { bad.push(name + "." + f); } }
		}
		return bad`)
	if got != "[]" {
		t.Errorf("not frozen: %s", got)
	}
}

func TestErrorsOfTheSDK(t *testing.T) { onEngines(t, false, checkErrorsOfTheSDK) }

func checkErrorsOfTheSDK(t *testing.T, s *sandbox) {
	_, trace, _ := s.run(`hex.decode("x")`)
	if trace["name"] != "invalid" || trace["code"] != "invalid" || !strings.Contains(trace["stack"], "at ") {
		t.Errorf("got %v", trace)
	}
	_, trace, _ = s.run(`try { hex.decode("x") } catch (e) {} ; var mine = new Error("mine"); mine.name = "invalid"; throw mine`)
	if _, has := trace["code"]; has {
		t.Errorf("a script's own error passed for the SDK's: %v", trace)
	}
}

func TestDescribe(t *testing.T) { onEngines(t, false, checkDescribe) }

func checkDescribe(t *testing.T, s *sandbox) {
	tests := []struct{ name, script, want string }{
		{"an error", `throw new TypeError("broken")`, "TypeError: broken"},
		{"a string", `throw "plain"`, ": plain"},
		{"null", `throw null`, ": null"},
		{"undefined", `throw undefined`, ": "},
		{"an object", `throw {code: 7}`, `: {"code":7}`},
		{"an error without words", `throw new Error()`, "Error: Error"},
		{"a trap", `throw Object.defineProperty({}, "message", {get: function () { throw 1 }})`, `: {}`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.thrown(tt.script); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// BenchmarkPrelude is what the prelude adds to an execution, and to one kv call, in µs.
func BenchmarkPrelude(b *testing.B) {
	vm, err := quickjs.NewVM()
	must(b, err)
	defer vm.Close()
	must(b, vm.RegisterHostFunc("hostForTest", func([]any) (any, error) { return "1", nil }))
	_, err = vm.Eval("var prelude = ("+strings.TrimRight(strings.TrimSpace(withoutHead(Prelude)), ";")+")(hostForTest); ''", quickjs.EvalGlobal)
	must(b, err)
	c := &Call{Script: &cloud.Script{Name: "hello", AppSlug: "default"}, Inv: publicCall()}
	c.Inv.Request = &cloud.Request{Method: "GET", Host: "localhost:8080", Path: "/hello", Headers: map[string]string{"user-agent": "curl/8", "accept": "*/*"}, RemoteAddress: "127.0.0.1"}
	text := string(appendString(nil, c.Context()))
	for _, bb := range []struct{ name, source string }{
		{"begin", `prelude.begin(text)`},
		{"finish", `prelude.finish({hello: "world"})`},
		{"finishResponse", `prelude.finish({statusCode: 200, headers: {"content-type": "text/html"}, body: "<p>"})`},
		{"collection", `kv.collection("visits")`},
		{"get", `visits.get("home")`},
		{"set", `visits.set("home", {n: 1})`},
		{"increment", `visits.increment("home")`},
		{"host", `hostForTest("kv.get", "[]")`},
	} {
		b.Run(bb.name, func(b *testing.B) {
			_, err := vm.Eval(fmt.Sprintf(`(function () { var text = %s, visits = kv.collection("visits"), i; for (i = 0; i < %d; i++) { %s; } })()`, text, b.N, bb.source), quickjs.EvalGlobal)
			must(b, err)
		})
	}
}
