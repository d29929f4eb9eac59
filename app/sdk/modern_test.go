package sdk

import (
	"strings"
	"testing"

	"modernc.org/quickjs"

	"picloud/app/cloud"
)

// What only a modern engine has must do no harm to the ES5 prelude.
func TestModernScripts(t *testing.T) {
	t.Parallel()
	tests := []struct{ name, script, want string }{
		{"bytes in a typed array", `return [base64.encode(new Uint8Array([255, 0])), hex.encode(new Uint8Array(0)), crypto.sha256(Uint8Array.of(97, 98, 99)).slice(0, 8)]`, `200 application/json "[\"/wA=\",\"\",\"ba7816bf\"]"`},
		{"a class of HttpError", `class Gone extends HttpError { constructor() { super(410, "gone"); this.name = "Gone"; } }; throw new Gone()`, `410 application/json "\"gone\"" discard`},
		{"HttpError is an Error", `const e = new HttpError(404, "x"); return [e instanceof Error, e.message, e.name, String(e), e.stack.length > 0]`, `200 application/json "[true,\"x\",\"HttpError\",\"HttpError: x\",true]"`},
		{"strict writes to the surface", `"use strict"; const bad = []; for (const f of [() => { kv = 1; }, () => { kv.collection = 1; }, () => { log.info.x = 1; }, () => { HttpError.prototype.status = 1; }, () => { delete globalThis.kv; }, () => { kv.collection("a").get = 1; }, () => { Object.getPrototypeOf(kv.collection("a")).get = 1; }]) { try { f(); bad.push(String(f)); } catch (e) { if (!(e instanceof TypeError)) bad.push(String(e)); } } return bad`, `200 application/json "[]"`},
		{"half a character", `return "a\ud800b"`, "200 application/json \"\\\"a\ufffdb\\\"\""}, // the bare engine's doing; app/executor has the real one's
		{"half a character in a list", `return ["\ud800"]`, `200 application/json "[\"\\ud800\"]"`},
		{"half a character in a key", `kv.collection("a").set("\ud800", 1)`, "throws invalid: the key holds half a character"},
		{"half a character in a collection's name", `kv.collection("\ud800").get("k")`, "throws invalid: the collection's name holds half a character"},
		{"half a character in a prefix", `kv.collection("a").list({prefix: "\ud83d"})`, "throws invalid: prefix holds half a character"},
		{"half a character in a list of keys", `kv.collection("a").getMany(["k", "\udc00"])`, "throws invalid: the list of keys holds half a character"},
		{"half a character in a queue's key", `queue.enqueue("q", 1, {key: "\ud800"})`, "throws invalid: key holds half a character"},
		{"half a character in a topic", `pubsub.publishDurable("\ud800", 1)`, "throws invalid: the topic holds half a character"},
		{"half a character as text", `return {statusCode: 200, headers: {"content-type": "text/plain"}, body: "a\ud800b"}`, "200 text/plain \"a\ufffdb\""},
		{"half a character as argument", `return hex.encode("\ud800")`, `200 application/json "\"efbfbd\""`},
		{"a proxy", `return new Proxy({a: 1}, {})`, `200 application/json "{\"a\":1}"`},
		{"a method of a map", `return new Map([["a", 1]])`, `200 application/json "{}"`},
		{"a hostile proxy thrown", `throw new Proxy({}, {getPrototypeOf() { throw 1; }, get() { throw 2; }})`, "throws : ?"},
		{"a symbol thrown", `throw Symbol("s")`, "throws : Symbol(s)"},
		{"log of everything", `log.info(Symbol("s"), 5n, new Proxy({}, {get() { throw 1; }}), new Map()); return null`, `200 application/json "null"`},
		{"log of hostile fields", `log.info("m", new Proxy({}, {getPrototypeOf() { throw 1; }})); log.info("m", {n: 5n}); return null`, `200 application/json "null"`},
		{"a bigint", `return {n: 5n}`, "invalid"},
		{"a bare bigint", `return 5n`, "invalid"},
		{"a symbol", `return Symbol()`, "invalid"},
		{"headers in a map", `return {statusCode: 200, headers: new Map([["x-a", "1"]])}`, "invalid"},
		{"headers without a prototype", `return {statusCode: 200, headers: Object.assign(Object.create(null), {"content-type": "text/x"}), body: "a"}`, `200 text/x "a"`},
		{"headers of a class with fields", `return {statusCode: 200, headers: new (class { "content-type" = "text/x"; }), body: "a"}`, `200 text/x "a"`},
		{"headers that make their JSON", `return {statusCode: 200, headers: new (class { toJSON() { return {"content-type": "text/x"}; } }), body: "a"}`, `200 text/x "a"`},
		{"a symbol as a header", `return {statusCode: 200, headers: {a: Symbol("s")}}`, "invalid"},
		{"a query in a map", `return url.encodeQuery(new Map([["a", 1]]))`, "throws invalid: the query: want a plain object"},
		{"a hostile answer", `return new Proxy({}, {has() { throw new Error("mine"); }})`, "invalid"},
		{"a bigint status", `return {statusCode: 200n}`, "invalid"},
		{"a fake length", `return base64.encode({BYTES_PER_ELEMENT: 1, length: 2 ** 53 - 1})`, "throws too_large: argument 1 has more than 1 MiB"},
		{"a bigint argument", `random.int(1n, 2n)`, "throws invalid: argument 1 can't be written as JSON"},
	}
	vm, err := quickjs.NewVM()
	must(t, err)
	t.Cleanup(func() { _ = vm.Close() })
	s := newSandbox(t, quickEngine{vm}, false)
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			res, trace, err := s.run(tt.script)
			var got string
			switch {
			case trace != nil:
				got = "throws " + trace["name"] + ": " + trace["message"]
			case err != nil:
				got = string(cloud.KindOf(err))
			default:
				got = shape(res)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}
