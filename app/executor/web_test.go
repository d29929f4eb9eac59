package executor

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"picloud/app/cloud"
	"picloud/app/sdk"
)

// webHost is a Host with the SDK behind it.
type webHost struct{ *sdk.Call }

func newWebHost(t testing.TB, r *cloud.Request) webHost {
	id := cloud.NewID[cloud.ExecutionID]()
	inv := &cloud.Invocation{ID: id, Root: id, Attempt: 1, Source: cloud.SourceHTTP, Request: r}
	return webHost{sdk.NewCall(t.Context(), sdk.Services{}, inv, &cloud.Script{Name: "main", AppSlug: "demo"}, time.Now().Add(time.Minute), cloud.Limits{}, nil)}
}

func sdkQuickJS(t testing.TB) Engine { return quickOf(t, testIsolation(), sdk.Prelude) }

// webCases are scripts' bodies in an async function, and what they answer.
var webCases = []struct{ name, body, want string }{
	{"headers", `const h = new Headers({"X-B": "1", a: " 2 "}); h.append("x-b", "3"); h.append("Set-Cookie", "a=1"); h.append("set-cookie", "b=2"); return [[...h], h.get("X-b"), h.has("c"), h.getSetCookie(), h.get("c")]`,
		`j[[["a","2"],["set-cookie","a=1"],["set-cookie","b=2"],["x-b","1, 3"]],"1, 3",false,["a=1","b=2"],null]`},
	{"headers changed", `const h = new Headers([["a", "1"], ["A", "2"], ["b", "3"]]); h.set("A", "4"); h.delete("B"); const all = []; h.forEach((v, n) => all.push(n + v)); return [all, [...h.keys()], [...h.values()], [...new Headers(h)]]`,
		`j[["a4"],["a"],["4"],[["a","4"]]]`},
	{"headers refused", `const bad = []; for (const f of [() => new Headers({"a b": "1"}), () => new Headers({a: "1\n2"}), () => new Headers([["a"]]), () => new Headers().get(""), () => new Headers("x")]) { try { f(); bad.push(String(f)) } catch (e) { if (!(e instanceof TypeError)) bad.push(String(e)) } } return bad`, `j[]`},
	{"response", `const r = new Response("ä", {status: 201, statusText: "Made", headers: {x: "1"}}); return [r.status, r.ok, r.statusText, r.headers.get("content-type"), r.bodyUsed, await r.text(), r.bodyUsed, r.type, r.redirected]`,
		`j[201,true,"Made","text/plain;charset=UTF-8",false,"ä",true,"default",false]`},
	{"a body is used once", `const r = new Response("x"); await r.text(); try { await r.json() } catch (e) { return e.name }`, `sTypeError`},
	{"no body is used never", `const r = new Response(); return [await r.text(), await r.text(), r.bodyUsed, r.body]`, `j["","",false,null]`},
	{"clone", `const r = new Response("x", {status: 404, headers: {a: "b"}}), c = r.clone(); c.headers.set("a", "c"); return [await r.text(), await c.text(), c.status, r.headers.get("a")]`, `j["x","x",404,"b"]`},
	{"clone of a stream", `const r = new Response(ReadableStream.from(["ab", "c"])), c = r.clone(); return [await r.text(), await c.text()]`, `j["abc","abc"]`},
	{"statics", `const a = Response.json({a: 1}, {status: 202}), b = Response.redirect("https://x.y/z", 303), c = Response.error(); return [a.status, a.headers.get("content-type"), await a.json(), b.status, b.headers.get("location"), c.type, c.status]`,
		`j[202,"application/json",{"a":1},303,"https://x.y/z","error",0]`},
	{"bodies", `const all = []; for (const b of [new Uint8Array([104, 105]), new Uint8Array([104, 105]).buffer, new URLSearchParams({a: "b c"}), new Blob(["x", "y"], {type: "text/x"}), 5, ReadableStream.from([new Uint8Array([65])])]) { const r = new Response(b); all.push([r.headers.get("content-type"), await r.text()]) } return all`,
		`j[[null,"hi"],[null,"hi"],["application/x-www-form-urlencoded;charset=UTF-8","a=b+c"],["text/x","xy"],["text/plain;charset=UTF-8","5"],[null,"A"]]`},
	{"bytes of a body", `const r = new Response("ä"), c = r.clone(), d = r.clone(); return [[...new Uint8Array(await r.arrayBuffer())], [...await c.bytes()], (await d.blob()).size]`, `j[[195,164],[195,164],2]`},
	{"a body's stream goes on", `const r = new Response("abc", {headers: {"content-type": "text/html"}}), s = new Response(r.body, r); return [await s.text(), s.headers.get("content-type"), r.bodyUsed]`, `j["abc","text/html",true]`},
	{"responses refused", `const bad = []; for (const f of [() => new Response("", {status: 99}), () => new Response("x", {status: 204}), () => new Response("", {status: 200.5}), () => Response.redirect("/", 200), () => new Request("/x"), () => new Request("http://x", {method: "TRACE"}), () => new Request("http://x", {body: "b"})]) { try { f(); bad.push(String(f)) } catch (e) {} } return bad`, `j[]`},
	{"request", `const r = new Request("HTTP://Example.org/a b?x=1#h", {method: "post", body: "{\"a\":1}", headers: {"content-type": "application/json"}}), s = new Request(r, {headers: {y: "1"}}); return [r.url, s.method, await s.json(), r.bodyUsed, s.headers.get("y"), s.signal.aborted, s.redirect]`,
		`j["http://example.org/a%20b?x=1#h","POST",{"a":1},true,"1",false,"follow"]`},
	{"url", `const u = new URL("../b?x=1#f", "https://me:pw@ex%61mple.org:8443/a/c"); return [u.href, u.origin, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, String(u), JSON.stringify({u})]`,
		`j["https://me:pw@example.org:8443/b?x=1#f","https://example.org:8443","https:","me","pw","example.org:8443","example.org","8443","/b","?x=1","#f","https://me:pw@example.org:8443/b?x=1#f","{\"u\":\"https://me:pw@example.org:8443/b?x=1#f\"}"]`},
	{"url set", `const u = new URL("http://a.b/c"); u.pathname = "/ü"; u.searchParams.append("q", "1 2"); u.hash = "h"; u.port = "81"; u.protocol = "https"; const q = u.searchParams; u.search = "?z=9"; return [u.href, q.get("z"), q.size]`, `j["https://a.b:81/%C3%BC?z=9#h","9",1]`},
	{"url idna", `return [new URL("https://bücher.example/").hostname, URL.canParse("nope"), URL.parse("x", "http://a/").href, URL.parse("::")]`, `j["xn--bcher-kva.example",false,"http://a/x",null]`},
	{"not a url", `try { new URL("/x") } catch (e) { return [e.name, e.message] }`, `j["TypeError","Invalid URL: /x"]`},
	{"search params", `const p = new URLSearchParams("?a=1&b=%C3%A4+x&a=2&c&%zz=%ff"); return [p.getAll("a"), p.get("b"), p.get("c"), p.get("%zz"), p.toString(), p.has("a", "2")]`, `j[["1","2"],"ä x","","�","a=1&b=%C3%A4+x&a=2&c=&%25zz=%EF%BF%BD",true]`},
	{"search params changed", `const p = new URLSearchParams({b: 1, a: "!'()~*"}); p.append("b", 2); p.set("b", 3); p.sort(); const s = String(p); p.delete("a"); return [s, [...p], String(new URLSearchParams([["x", "\ud800"]])), p.size]`, `j["a=%21%27%28%29%7E*&b=3",[["b","3"]],"x=%EF%BF%BD",1]`},
	{"text", `const e = new TextEncoder(), d = new TextDecoder(); return [[...e.encode("ä€😀\ud800")], d.decode(new Uint8Array([0xef, 0xbb, 0xbf, 65, 0xe2, 0x82, 65, 0xf0, 0x90, 0xff])), d.decode(new Uint8Array([1, 65, 66, 1]).subarray(1, 3)), e.encodeInto("aä€", new Uint8Array(4))]`,
		`j[[195,164,226,130,172,240,159,152,128,239,191,189],"A�A��","AB",{"read":2,"written":3}]`},
	{"text in pieces", `const d = new TextDecoder(), u = new TextEncoder().encode("a€😀z"); let s = ""; for (const b of u) s += d.decode(Uint8Array.of(b), {stream: true}); return s + d.decode()`, `sa€😀z`},
	{"fatal text", `try { new TextDecoder("utf8", {fatal: true}).decode(new Uint8Array([255])) } catch (e) { return e.name }`, `sTypeError`},
	{"base64", `return [btoa("\xff\x00hi"), atob("/wBo aQ=="), atob("YQ"), (() => { try { atob("a") } catch (e) { return e.name } })(), (() => { try { btoa("€") } catch (e) { return e.name + e.code } })()]`,
		`j["/wBoaQ==","ÿ\u0000hi","a","InvalidCharacterError","InvalidCharacterError5"]`},
	{"microtask", `let n = 0; queueMicrotask(() => n++); await null; return n`, `j1`},
	{"structured clone", `const o = {d: new Date(5), m: new Map([[1, new Set([2])]]), l: [1, {a: null}], u: new Uint16Array([7, 8])}; o.self = o; const c = structuredClone(o); return [c !== o, c.self === c, c.d.getTime(), [...c.m.get(1)], c.l, c.u[1], (() => { try { structuredClone(() => 1) } catch (e) { return e.name } })()]`,
		`j[true,true,5,[2],[1,{"a":null}],8,"DataCloneError"]`},
	{"abort", `const c = new AbortController(), seen = []; c.signal.addEventListener("abort", (e) => seen.push(e.type, e.target === c.signal)); const any = AbortSignal.any([c.signal]); c.abort(); c.abort(); try { any.throwIfAborted() } catch (e) { seen.push(e.name) } return [seen, c.signal.aborted, AbortSignal.abort("x").reason, AbortSignal.timeout(5).aborted]`,
		`j[["abort",true,"AbortError"],true,"x",false]`},
	{"stream", `const s = new ReadableStream({start(c) { c.enqueue("a") }, async pull(c) { await null; c.enqueue("b"); c.close() }}), all = []; for await (const x of s) all.push(x); return [all, s.locked]`, `j[["a","b"],false]`},
	{"stream that fails", `const s = new ReadableStream({pull(c) { throw new RangeError("no") }}); try { await new Response(s).text() } catch (e) { return e.message }`, `sno`},
	{"stream locked", `const s = new Response("x").body, r = s.getReader(); const got = [s.locked]; try { s.getReader() } catch (e) { got.push(e.name) } got.push((await r.read()).done, (await r.read()).done); return got`, `j[true,"TypeError",false,true]`},
	{"urlencoded form", `const f = await new Response(new URLSearchParams([["a", "1"], ["a", "2"]])).formData(); return [f.getAll("a"), f.get("b"), [...f.keys()]]`, `j[["1","2"],null,["a","a"]]`},
	{"multipart form", `const f = new FormData(); f.append("a", "ä"); f.append("f", new File([new Uint8Array([0, 255])], "x y.bin", {type: "image/x"})); const g = await new Response(f).formData(), x = g.get("f"); return [g.get("a"), x.name, x.type, [...await x.bytes()], x instanceof Blob]`,
		`j["ä","x y.bin","image/x",[0,255],true]`},
	{"form of something else", `try { await new Response("x").formData() } catch (e) { return e.name }`, `sTypeError`},
}

func TestWebClasses(t *testing.T) {
	t.Parallel()
	e := sdkQuickJS(t)
	for _, tt := range webCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, e, "export default async function (ctx) { "+tt.body+" }")
			for range 2 {
				if got := outcome(c.Run(newWebHost(t, nil), budget(time.Minute))); got != tt.want {
					t.Errorf("got  %s\nwant %s", got, tt.want)
				}
			}
		})
	}
}

// fetchCases are scripts that answer requests with fetch, a request, and the answer as the
// engine gives it.
var fetchCases = []struct {
	name, source string
	request      *cloud.Request
	want         string
}{
	{"text", `export default { fetch(request, env, ctx) { return new Response(request.method + " " + request.url + " " + env.APP + env.SCRIPT + ctx.app.slug) } }`,
		&cloud.Request{Method: "GET", Host: "a.b", Path: "/x", URL: "https://a.b/x?q=1&r"}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"text/plain;charset=UTF-8\"}}\ntGET https://a.b/x?q=1&r demomaindemo"},
	{"json", `export default { async fetch(request) { const b = await request.json(); return Response.json({got: b.a, h: request.headers.get("X-Y")}, {status: 201}) } }`,
		&cloud.Request{Method: "POST", Host: "a", Path: "/", RawBody: `{"a":5}`, Headers: map[string]string{"x-y": "z"}}, "f{\"statusCode\":201,\"headers\":{\"content-type\":\"application/json\"}}\nt{\"got\":5,\"h\":\"z\"}"},
	{"bytes in and out", `export default { async fetch(request) { const u = await request.bytes(); return new Response(u.reverse(), {headers: [["set-cookie", "a=1"], ["set-cookie", "b=2"]]}) } }`,
		&cloud.Request{Method: "PUT", Host: "a", Path: "/", RawBody: "AAH/", IsBase64: true}, "f{\"statusCode\":200,\"headers\":{\"set-cookie\":[\"a=1\",\"b=2\"]}}\nb/wEA"},
	{"without a url", `export default { fetch(request) { return new Response(request.url) } }`,
		&cloud.Request{Method: "GET", Host: "a.b:81", Path: "/x%20y", Query: map[string]any{"b": "1 2", "a": []string{"x", "y"}}}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"text/plain;charset=UTF-8\"}}\nthttp://a.b:81/x%20y?a=x&a=y&b=1+2"},
	{"commonjs", `module.exports = { fetch: function () { return new Response(null, {status: 204}) } }`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":204,\"headers\":{}}\nu"},
	{"bundled commonjs", `exports.default = { fetch: function () { return new Response("x", {headers: {"content-type": "a/b"}}) } }`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"a/b\"}}\ntx"},
	{"an instance", `class App { #n = 1; async fetch() { return new Response(String(this.#n)) } } export default new App()`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"text/plain;charset=UTF-8\"}}\nt1"},
	{"stream", `export default { fetch() { return new Response(ReadableStream.from(["a", "b"]), {headers: {"content-type": "x/y"}}) } }`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"x/y\"}}\nbYWI="},
	{"wait until", `let n = 0; export default { fetch(r, e, ctx) { n = 0; ctx.passThroughOnException(); ctx.waitUntil((async () => { await null; n++; ctx.waitUntil(Promise.resolve().then(() => n++)) })()); return { get then() { return undefined } } && new Response(new ReadableStream({async pull(c) { c.enqueue(String(n)); c.close() }}), {headers: {"content-type": "x/y"}}) } }`,
		&cloud.Request{Method: "GET"}, "f{\"statusCode\":200,\"headers\":{\"content-type\":\"x/y\"}}\nbMg=="},
	{"wait until fails", `export default { fetch(r, e, ctx) { ctx.waitUntil(Promise.reject(new Error("half"))); return new Response("x") } }`, &cloud.Request{Method: "GET"}, "script_error: Error: half at main.js:1:75"},
	{"no response", `export default { fetch() { return {a: 1} } }`, &cloud.Request{Method: "GET"}, "script_error: TypeError: fetch must answer a Response, not a value of type object"},
	{"a throw", "export default { fetch() {\n  null.x } }", &cloud.Request{Method: "GET"}, "script_error: TypeError: cannot read property 'x' of null at main.js:2:7"},
	{"an HttpError", `export default { async fetch() { throw new HttpError(418, "tea") } }`, &cloud.Request{Method: "GET"}, "h{\"statusCode\":418}\nstea"},
	{"used up", `export default { async fetch() { const r = new Response("x"); await r.text(); return r } }`, &cloud.Request{Method: "GET"}, "xthe body was used already: clone() before the first use gives a second one"},
	{"an error response", `export default { fetch() { return Response.error() } }`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":0,\"headers\":{}}\nu"},
	{"an event", `export default { fetch() {} }`, nil, "script_error: TypeError: the script's handler is fetch, which answers requests: for calls, export a function (ctx) from a script of its own"},
	{"a function's response", `export default () => new Response("x", {status: 404})`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":404,\"headers\":{\"content-type\":\"text/plain;charset=UTF-8\"}}\ntx"},
	{"a function's stream", `export default async () => new Response(ReadableStream.from(["a"]))`, &cloud.Request{Method: "GET"}, "f{\"statusCode\":200,\"headers\":{}}\nbYQ=="},
	{"a stream that throws", "export default () => new Response(new ReadableStream({pull() { throw new Error('lost') }}))", &cloud.Request{Method: "GET"}, "script_error: Error: lost at main.js:1:79"},
	{"fetch is no function", `export default { fetch: 5 }`, &cloud.Request{Method: "GET"}, noHandlerText},
}

func TestFetchHandlers(t *testing.T) {
	t.Parallel()
	e := sdkQuickJS(t)
	for _, tt := range fetchCases {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := start(t, e, tt.source)
			for i := range 3 {
				if got := outcome(c.Run(newWebHost(t, tt.request), budget(time.Minute))); got != tt.want {
					t.Errorf("run %d: got  %s\nwant %s", i, got, tt.want)
				}
				if c.Spent() {
					break
				}
			}
		})
	}
}

// FuzzDecodeUTF8: what isn't UTF-8 becomes text without losing what is, one sign for each
// beginning of a character and never more signs than bytes.
func FuzzDecodeUTF8(f *testing.F) {
	for _, s := range []string{"", "a", "é", "\xff", "\xf0\x9f\x98", "\xed\xa0\x80", "\xe0\x80\xaf", "\xf4\x90\x80\x80", "\xc3\x28", "a\xf0\x9fb"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		got := decodeUTF8(b)
		if !utf8.ValidString(got) || utf8.Valid(b) && got != string(b) {
			t.Errorf("%q became %q", b, got)
		}
		if n := strings.Count(got, "\ufffd"); !utf8.Valid(b) && (n == 0 || n > len(b)) {
			t.Errorf("%q became %q", b, got)
		}
		kept := strings.ReplaceAll(got, "\ufffd", "")
		if want := strings.ReplaceAll(strings.ToValidUTF8(string(b), ""), "\ufffd", ""); kept != want {
			t.Errorf("of %q is left %q, want %q", b, kept, want)
		}
	})
}

// answerTo is what a script answers, as it goes to the caller.
func answerTo(t *testing.T, e Engine, source string) (*cloud.Result, error) {
	t.Helper()
	finished, fail := start(t, e, source).Run(newWebHost(t, nil), budget(10*time.Second))
	if fail != nil {
		t.Fatal(fail.Trace)
	}
	return sdk.Answer([]byte(finished), 0)
}

// Half a character is answered as JSON.stringify writes it, whether the string stands alone or not.
func TestHalfACharacterIsAnswered(t *testing.T) {
	t.Parallel()
	e := sdkQuickJS(t)
	tests := []struct{ name, body, want string }{
		{"alone", `return "\ud800"`, `"\ud800"`},
		{"among others", `return "ä\udfff\ud83d\ude00\ud83d"`, `"ä\udfff😀\ud83d"`},
		{"in a list", `return ["\ud800"]`, `["\ud800"]`},
		{"as a body", `return {statusCode: 200, body: "\ud800"}`, `"\ud800"`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := answerTo(t, e, "export default function () { "+tt.body+" }")
			if err != nil || string(res.Body) != tt.want {
				t.Errorf("got %v, %v; want %s", res, err, tt.want)
			}
		})
	}
}

// A response's headers may be a Headers, whatever it held before it was handed over.
func TestHeadersOfAnAnswer(t *testing.T) {
	t.Parallel()
	e := sdkQuickJS(t)
	tests := []struct{ name, headers, want string }{
		{"Headers", `new Headers({"X-A": "1", "content-type": "text/html"})`, "map[content-type:text/html x-a:1]"},
		{"repeated ones", `(() => { const h = new Headers([["a", "1"], ["A", "2"]]); h.append("set-cookie", "b=1"); h.append("set-cookie", "c=2"); return h; })()`, "map[a:1, 2 content-type:application/json set-cookie:b=1\nc=2]"},
		{"of a Response", `new Response("x").headers`, "map[content-type:text/plain;charset=UTF-8]"},
		{"none", `new Headers()`, "map[content-type:application/json]"},
		{"a plain object with Headers about", `(new Headers(), {a: "1"})`, "map[a:1 content-type:application/json]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			res, err := answerTo(t, e, "export default function () { return {statusCode: 200, headers: "+tt.headers+", body: \"x\"} }")
			if err != nil || fmt.Sprint(res.Header) != tt.want {
				t.Errorf("got %v, %v; want %s", res, err, tt.want)
			}
		})
	}
}
