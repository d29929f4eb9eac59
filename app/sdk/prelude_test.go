package sdk

import (
	"strings"
	"testing"
)

func TestPreludeIsOneExpression(t *testing.T) {
	t.Parallel()
	if got := newSandbox(t, false).value(`return typeof kv.collection`); got != `"function"` {
		t.Errorf("got %s", got)
	}
}

func TestScriptsCantBreakTheSurface(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, false)
	s.value(`
		JSON.parse = JSON.stringify = Object.defineProperty = Object.create = Array.isArray = function () { throw new Error("mine"); };
		String.prototype.substring = Array.prototype.join = function () { throw new Error("mine"); };
		Object.prototype.e = Object.prototype.v = Object.prototype.value = Object.prototype.get = "mine";
		Error = function () { throw 1; };
		log = null; kv = null; log && (log.info = null);
	`)
	s.begin(publicCall())
	if got := s.value(`log.info("still here"); return {hex: hex.encode("a"), app: ctx.app.slug}`); got != `{"app":"demo","hex":"61"}` {
		t.Errorf("got %s", got)
	}
	if got := s.call.Logs(); len(got) != 1 || got[0].Message != "still here" {
		t.Errorf("got logs %v", got)
	}
	if got := s.thrown(`hex.decode("x")`); got != "invalid: this is not hex" {
		t.Errorf("got %s", got)
	}
}

func TestSurfaceIsFrozen(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, false)
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

func TestErrorsOfTheSDK(t *testing.T) {
	t.Parallel()
	s := newSandbox(t, false)
	_, trace, _ := s.run(`hex.decode("x")`)
	if trace["name"] != "invalid" || trace["code"] != "invalid" || !strings.Contains(trace["stack"], "not hex") {
		t.Errorf("got %v", trace)
	}
	_, trace, _ = s.run(`try { hex.decode("x") } catch (e) {} ; var mine = new Error("mine"); mine.name = "invalid"; throw mine`)
	if _, has := trace["code"]; has {
		t.Errorf("a script's own error passed for the SDK's: %v", trace)
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, script, want string }{
		{"an error", `throw new TypeError("broken")`, "TypeError: broken"},
		{"a string", `throw "plain"`, ": plain"},
		{"null", `throw null`, ": null"},
		{"undefined", `throw undefined`, ": "},
		{"an object", `throw {code: 7}`, `: {"code":7}`},
		{"an error without words", `throw new Error()`, "Error: Error"},
		{"a trap", `throw Object.defineProperty({}, "message", {get: function () { throw 1 }})`, `: {}`},
	}
	s := newSandbox(t, false)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.thrown(tt.script); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}
